/* Programs that go around what others look at: tests/host/ runs them in a session that is watched. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

static int fail(const char *what)
{
	perror(what);
	return 1;
}

static struct sockaddr_in inet(const char *address, const char *port)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(atoi(port)) };

	inet_pton(AF_INET, address, &in.sin_addr);
	return in;
}

/* Memory that the 32-bit ABI can reach. */
static void *low(const void *from, size_t bytes)
{
	void *to = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	memcpy(to, from, bytes);
	return to;
}

static long call_32(long nr, long a, long b, long c)
{
	long ret;

	__asm__ volatile("int $0x80" : "=a"(ret) : "a"(nr), "b"(a), "c"(b), "d"(c) : "memory", "r8", "r9",
			 "r10", "r11");
	return ret;
}

static int compat(const char *path, const char *port)
{
	struct sockaddr_in to = inet("127.0.0.1", port);
	int one = socket(AF_INET, SOCK_STREAM, 0), two = socket(AF_INET, SOCK_STREAM, 0);
	uint32_t args[3] = { one, (uint32_t)(uintptr_t)low(&to, sizeof(to)), sizeof(to) };

	/* open, unlink, connect, and connect by socketcall. */
	call_32(5, (long)low(path, strlen(path) + 1), 0, 0);
	call_32(10, (long)low("/none/compat", 13), 0, 0);
	call_32(362, two, args[1], sizeof(to));
	call_32(102, 3, (long)low(args, sizeof(args)), 0);
	return 0;
}

struct ring {
	int fd;
	unsigned *sq_tail, *sq_mask, *sq_array, *sq_flags, *cq_head, *cq_tail;
	struct io_uring_sqe *entries;
	int is_polled;
};

static int set_up(struct ring *ring, int is_polled)
{
	struct io_uring_params params = { .flags = is_polled ? IORING_SETUP_SQPOLL : 0,
					  .sq_thread_idle = 2000 };
	char *sq, *cq;

	ring->fd = syscall(SYS_io_uring_setup, 8, &params);
	if (ring->fd < 0)
		return fail("io_uring_setup");
	sq = mmap(0, params.sq_off.array + params.sq_entries * 4, PROT_READ | PROT_WRITE, MAP_SHARED,
		  ring->fd, IORING_OFF_SQ_RING);
	cq = mmap(0, params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe),
		  PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, IORING_OFF_CQ_RING);
	ring->entries = mmap(0, params.sq_entries * sizeof(struct io_uring_sqe), PROT_READ | PROT_WRITE,
			     MAP_SHARED, ring->fd, IORING_OFF_SQES);
	ring->sq_tail = (unsigned *)(sq + params.sq_off.tail);
	ring->sq_mask = (unsigned *)(sq + params.sq_off.ring_mask);
	ring->sq_array = (unsigned *)(sq + params.sq_off.array);
	ring->sq_flags = (unsigned *)(sq + params.sq_off.flags);
	ring->cq_head = (unsigned *)(cq + params.cq_off.head);
	ring->cq_tail = (unsigned *)(cq + params.cq_off.tail);
	ring->is_polled = is_polled;
	return 0;
}

/* Asks for one thing and waits until it is done. */
static void ask(struct ring *ring, struct io_uring_sqe entry)
{
	unsigned tail = *ring->sq_tail, at = tail & *ring->sq_mask, flags = IORING_ENTER_GETEVENTS;

	ring->entries[at] = entry;
	ring->sq_array[at] = at;
	__atomic_store_n(ring->sq_tail, tail + 1, __ATOMIC_SEQ_CST);
	if (ring->is_polled && (__atomic_load_n(ring->sq_flags, __ATOMIC_SEQ_CST) & IORING_SQ_NEED_WAKEUP))
		flags |= IORING_ENTER_SQ_WAKEUP;
	while (*ring->cq_head == __atomic_load_n(ring->cq_tail, __ATOMIC_SEQ_CST))
		syscall(SYS_io_uring_enter, ring->fd, ring->is_polled ? 0 : 1, 1, flags, 0, 0);
	__atomic_store_n(ring->cq_head, *ring->cq_head + 1, __ATOMIC_SEQ_CST);
}

static int rings(const char *dir, const char *port, int is_polled)
{
	struct sockaddr_in to = inet("127.0.0.1", port);
	int socket_fd = socket(AF_INET, SOCK_STREAM, 0);
	struct ring ring;
	char old[256], new[256];

	snprintf(old, sizeof(old), "%s/ring-%d", dir, is_polled);
	snprintf(new, sizeof(new), "%s/ring-new-%d", dir, is_polled);
	if (set_up(&ring, is_polled))
		return 1;
	ask(&ring, (struct io_uring_sqe){ .opcode = IORING_OP_OPENAT, .fd = AT_FDCWD,
		.addr = (uintptr_t)old, .open_flags = O_CREAT | O_RDWR, .len = 0600 });
	ask(&ring, (struct io_uring_sqe){ .opcode = IORING_OP_RENAMEAT, .fd = AT_FDCWD,
		.addr = (uintptr_t)old, .addr2 = (uintptr_t)new, .len = AT_FDCWD });
	ask(&ring, (struct io_uring_sqe){ .opcode = IORING_OP_UNLINKAT, .fd = AT_FDCWD,
		.addr = (uintptr_t)new });
	snprintf(new, sizeof(new), "%s/ring-none", dir);
	ask(&ring, (struct io_uring_sqe){ .opcode = IORING_OP_OPENAT, .fd = AT_FDCWD,
		.addr = (uintptr_t)new, .open_flags = O_RDONLY });
	ask(&ring, (struct io_uring_sqe){ .opcode = IORING_OP_CONNECT, .fd = socket_fd,
		.addr = (uintptr_t)&to, .off = sizeof(to) });
	return 0;
}

/* A program that has no name in any directory. */
static int memory(char **argv)
{
	int from = open(argv[0], O_RDONLY), to = memfd_create("evil", 0);
	char buffer[65536];
	ssize_t got;

	while ((got = read(from, buffer, sizeof(buffer))) > 0)
		if (write(to, buffer, got) != got)
			return fail("write");
	syscall(SYS_execveat, to, "", argv, environ, AT_EMPTY_PATH);
	return fail("execveat");
}

/* A child asks for one file; its argument is changed before the kernel looks at it. */
static int rewritten(const char *asked, const char *meant)
{
	struct user_regs_struct regs;
	int status;
	char *text = malloc(4096);
	pid_t child;

	strcpy(text, asked);
	child = fork();
	if (child == 0) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		_exit(open(text, O_RDONLY) < 0);
	}
	waitpid(child, &status, 0);
	ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACESYSGOOD);
	while (ptrace(PTRACE_SYSCALL, child, 0, 0) == 0 && waitpid(child, &status, 0) > 0) {
		if (WIFEXITED(status) || WIFSIGNALED(status))
			return 0;
		if (!WIFSTOPPED(status) || WSTOPSIG(status) != (SIGTRAP | 0x80))
			continue;
		ptrace(PTRACE_GETREGS, child, 0, &regs);
		if (regs.orig_rax == SYS_openat && regs.rsi == (uintptr_t)text) {
			struct iovec from = { (void *)meant, strlen(meant) + 1 }, to = { text, from.iov_len };

			process_vm_writev(child, &from, 1, &to, 1, 0);
		}
	}
	return 0;
}

/* Two forks and a session of its own; the program runs when its parent is gone. */
static int daemonise(char **argv)
{
	int ends[2], status;
	pid_t parent;
	char byte;

	if (pipe(ends))
		return fail("pipe");
	if (fork()) {
		close(ends[1]);
		wait(&status);
		/* The daemon has the other end until it ends. */
		return read(ends[0], &byte, 1) != 0;
	}
	setsid();
	parent = getpid();
	if (fork())
		_exit(0);
	while (getppid() == parent)
		sched_yield();
	execv(argv[0], argv);
	return fail(argv[0]);
}

static int misses(const char *path, long count)
{
	char name[4096];

	for (long i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "%s%ld", path, i);
		if (open(name, O_RDONLY) >= 0)
			return 1;
	}
	return 0;
}

static void *other_program(void *argv)
{
	execv(*(char **)argv, argv);
	return 0;
}

/* A thread runs another program, and takes the place of its process. */
static int in_thread(char **argv)
{
	pthread_t thread;

	if (pthread_create(&thread, 0, other_program, argv))
		return fail("pthread_create");
	pthread_join(thread, 0);
	return fail(argv[0]);
}

static int accepts(const char *address)
{
	struct sockaddr_in in = inet(address, "0");
	socklen_t length = sizeof(in);
	int listener = socket(AF_INET, SOCK_STREAM, 0), to = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(listener, (void *)&in, length) || listen(listener, 1))
		return fail("listen");
	getsockname(listener, (void *)&in, &length);
	if (connect(to, (void *)&in, length))
		return fail("connect");
	return accept(listener, 0, 0) < 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (argc > 3 && !strcmp(what, "compat"))
		return compat(argv[2], argv[3]);
	if (argc > 3 && !strcmp(what, "rings"))
		return rings(argv[2], argv[3], 0);
	if (argc > 3 && !strcmp(what, "polled-rings"))
		return rings(argv[2], argv[3], 1);
	if (argc > 2 && !strcmp(what, "memory"))
		return memory(argv + 2);
	if (argc > 3 && !strcmp(what, "rewritten"))
		return rewritten(argv[2], argv[3]);
	if (argc > 2 && !strcmp(what, "daemon"))
		return daemonise(argv + 2);
	if (argc > 2 && !strcmp(what, "thread"))
		return in_thread(argv + 2);
	if (argc > 3 && !strcmp(what, "misses"))
		return misses(argv[2], atol(argv[3]));
	if (argc > 2 && !strcmp(what, "accept"))
		return accepts(argv[2]);
	if (argc > 2 && !strcmp(what, "raw"))
		return syscall(SYS_open, argv[2], O_RDONLY) < 0;
	if (argc > 2 && !strcmp(what, "vfork")) {
		if (vfork() == 0)
			_exit(execv(argv[2], argv + 2));
		return wait(0) < 0;
	}
	if (argc > 3 && !strcmp(what, "tcp")) {
		struct sockaddr_in in = inet(argv[2], argv[3]);

		connect(socket(AF_INET, SOCK_STREAM, 0), (void *)&in, sizeof(in));
		return 0;
	}
	if (argc > 4 && !strcmp(what, "datagrams")) {
		struct sockaddr_in to[2] = { inet(argv[2], argv[4]), inet(argv[3], argv[4]) };
		struct iovec part = { "x", 1 };
		struct mmsghdr messages[2] = {};
		int fd = socket(AF_INET, SOCK_DGRAM, 0);

		for (int i = 0; i < 2; i++)
			messages[i].msg_hdr = (struct msghdr){ .msg_name = &to[i], .msg_namelen = sizeof(to[i]),
							       .msg_iov = &part, .msg_iovlen = 1 };
		return sendmmsg(fd, messages, 2, 0) != 2;
	}
	if (argc > 2 && !strcmp(what, "newer")) {
		/* Whether this kernel has them or not: setxattrat, removexattrat, file_setattr. */
		syscall(463, AT_FDCWD, argv[2], 0, "user.x", 0, 0);
		syscall(466, AT_FDCWD, argv[2], 0, "user.x");
		syscall(469, AT_FDCWD, argv[2], 0, 0, 0);
		syscall(SYS_rt_sigqueueinfo, getpid(), 0, 0);
		syscall(SYS_tkill, getpid(), 0);
		syscall(SYS_rt_tgsigqueueinfo, getpid(), getpid(), 0, 0);
		return 0;
	}
	if (argc > 3 && !strncmp(what, "udp", 3)) {
		struct sockaddr_in in = inet(argv[2], argv[3]);
		struct iovec part = { "x", 1 };
		struct msghdr message = { .msg_name = &in, .msg_namelen = sizeof(in), .msg_iov = &part,
					  .msg_iovlen = 1 };
		int fd = socket(AF_INET, SOCK_DGRAM, 0);

		if (!strcmp(what, "udp"))
			return sendto(fd, "x", 1, 0, (void *)&in, sizeof(in)) != 1;
		return sendmsg(fd, &message, 0) != 1;
	}
	if (argc > 3 && !strcmp(what, "waits")) {
		struct sockaddr_un un = { .sun_family = AF_UNIX };
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);
		char byte;

		strncpy(un.sun_path, argv[2], sizeof(un.sun_path) - 1);
		if (connect(fd, (void *)&un, sizeof(un)) || read(fd, &byte, 1) != 1)
			return fail(argv[2]);
		execv(argv[3], argv + 3);
		return fail(argv[3]);
	}
	if (argc > 2 && !strcmp(what, "unix")) {
		struct sockaddr_un un = { .sun_family = AF_UNIX };

		strncpy(un.sun_path, argv[2], sizeof(un.sun_path) - 1);
		connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&un, sizeof(un));
		return 0;
	}
	if (argc > 3 && !strcmp(what, "handle")) {
		struct { struct file_handle head; char rest[MAX_HANDLE_SZ]; } handle;
		int mount, on = open(argv[3], O_RDONLY | O_DIRECTORY);

		handle.head.handle_bytes = MAX_HANDLE_SZ;
		if (name_to_handle_at(AT_FDCWD, argv[2], &handle.head, &mount, 0) ||
		    open_by_handle_at(on, &handle.head, O_RDONLY) < 0)
			return fail(argv[2]);
		memset(handle.head.f_handle, 0xff, handle.head.handle_bytes);
		return open_by_handle_at(on, &handle.head, O_RDONLY) >= 0;
	}
	if (argc > 1 && !strcmp(what, "privileges")) {
		if (syscall(SYS_setresuid, -1, 65534, -1) || syscall(SYS_setresuid, -1, 0, -1))
			return fail("setresuid");
		syscall(SYS_init_module, "", 0, "");
		syscall(SYS_delete_module, "none_such", 0);
		syscall(SYS_bpf, 5, 0, 0);
		ptrace(PTRACE_ATTACH, getpid(), 0, 0);
		return 0;
	}
	return 2;
}
