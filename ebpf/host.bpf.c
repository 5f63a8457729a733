/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/* Host events: what the processes of a session do.
 *
 * A task carries the tag of its session from its first moment on (task storage, set at
 * task_newtask), so double forks, setsid, other control groups and other namespaces change nothing.
 * User space seeds it: the program that holds a session. Everything else follows. What is in a session
 * already and holds another one is no seed: what it does is told where it was, what it starts there.
 *
 * Calls are read when they return: what was opened is the file that is open then, whatever the
 * program's memory said before or after. Tracepoints with the kernel's own types only, because some
 * kernels load nothing else; no hook that could change what a program does. */

#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#include "record.h"

#define AT_FDCWD_ (-100)
#define EAGAIN_ 11
#define SENDMMSG 307
#define X32_BIT 0x40000000ULL
#define TS_COMPAT_ 2
#define SIGNAL_GROUP_EXIT_ 4
#define CLONE_THREAD_ 0x00010000
/* Mount, cgroup, UTS, IPC, user, pid and network namespaces. */
#define CLONE_NEW_ 0x7e020000
#define AF_UNIX_ 1
#define AF_INET_ 2
#define AF_INET6_ 10
#define INITIAL_PID_NS 0xeffffffc
#define PID_LEVELS_MAX 8

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* What the reader says before the programs are loaded: what is 0 costs nothing then. */
const volatile struct reader reader SEC(".rodata.reader") = { .pid_ns = INITIAL_PID_NS };

/* Switches of the sessions that are recorded. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, __u32);
} sessions SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct lost);
} losses SEC(".maps");

/* No program looks at it. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct owner);
} owners SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16 * 1024 * 1024);
} records SEC(".maps");

/* Room to make a record in: for each processor one of each program, so that none disturbs another.
 * User space sets the number. */
enum { OF_CALL, OF_EXEC, OF_FORK, OF_EXIT, OF_RING, OF_RESOLVED, DRAFTS };
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, DRAFTS);
	__type(key, __u32);
	__type(value, struct draft);
} drafts SEC(".maps");

#include "tags.h"
#include "left_out.h"
#include "text.h"
#include "calls.h"

static __always_inline bool is_recorded(struct tag *tag, __u8 class)
{
	__u32 *switches;

	if (!tag || tag->is_seed)
		return false;
	switches = switches_of(tag);
	if (!switches || !(*switches & class))
		return false;
	if (tag->is_left_out && class != COMMANDS) {
		leave_out(tag->session);
		return false;
	}
	return true;
}

static __always_inline struct draft *begin(__u32 which, struct task_struct *task, struct tag *tag,
					   __u32 kind)
{
	__u32 at = bpf_get_smp_processor_id() * DRAFTS + which;
	struct draft *draft = bpf_map_lookup_elem(&drafts, &at);
	struct record *record;

	if (!draft)
		return 0;
	record = &draft->record;
	draft->used = 0;
	draft->looks = 0;
	record->time_ns = bpf_ktime_get_ns();
	record->tag = tag->session;
	record->cgroup = bpf_get_current_cgroup_id();
	record->kind = kind;
	record->nr = 0;
	record->flags = 0;
	record->ret = 0;
	for (int i = 0; i < 8; i++)
		record->args[i] = 0;
	for (int i = 0; i < TEXTS; i++)
		record->lengths[i] = 0;
	record->pid = pid_of(task);
	record->tid = tid_of(task);
	/* The kernel knows what these pointers are of: a load each, and no call. */
	record->parent = pid_of(task->real_parent);
	record->forked_by = tag->forked_by;
	record->uid = task->cred->uid.val;
	record->euid = task->cred->euid.val;
	record->gid = task->cred->gid.val;
	record->login_uid = record->audit_session = -1;
	if (bpf_core_field_exists(task->loginuid)) {
		record->login_uid = task->loginuid.val;
		record->audit_session = task->sessionid;
	}
	record->mount_ns = task->nsproxy->mnt_ns->ns.inum;
	record->pid_ns = 0;
	bpf_probe_read_kernel_str(record->comm, sizeof(record->comm), &task->comm);
	return draft;
}

/* One more that is not handed over: counted, so that the session's record says so. */
static __always_inline void lose(__u64 session, bool is_task)
{
	struct lost *lost = bpf_map_lookup_elem(&losses, &session);

	if (!lost)
		return;
	if (lost->first_ns == 0)
		lost->first_ns = bpf_ktime_get_ns();
	if (is_task)
		__sync_fetch_and_add(&lost->untagged, 1);
	else
		__sync_fetch_and_add(&lost->records, 1);
}

/* The reader sleeps only when nothing waits, and looks by itself when it has slept for a while after
 * that: who adds to what waits need not tell it. Telling it costs an interrupt, in a virtual machine
 * one that the machine below has to send, more than all of the rest.
 *
 * Who saw that something waits and was held up until the reader had taken it tells nobody, and neither
 * do those behind: when half of the room is taken, those that pass there tell it again. */
#define WAKE_FROM (8 * 1024 * 1024)
#define WAKE_BYTES (1024 * 1024)
static __always_inline __u64 wake_flags(void)
{
	__u64 waiting = bpf_ringbuf_query(&records, BPF_RB_AVAIL_DATA);

	return waiting == 0 || waiting - WAKE_FROM < WAKE_BYTES ? BPF_RB_FORCE_WAKEUP :
								   BPF_RB_NO_WAKEUP;
}

static __always_inline bool hand_over(struct draft *draft)
{
	__u32 used = draft->used;

	if (used > DATA_MAX)
		used = DATA_MAX;
	if (!bpf_ringbuf_output(&records, &draft->record, HEAD_BYTES + used, wake_flags()))
		return false;
	lose(draft->record.tag, false);
	return true;
}

#include "logins.h"
#include "living.h"

SEC("tp_btf/task_newtask")
int BPF_PROG(on_fork, struct task_struct *child, unsigned long flags)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct tag *tag = tag_of(task);
	struct tag copy = {};
	struct draft *draft;

	if (!tag) {
		forget(child);
		return 0;
	}
	copy = *tag;
	if (!(flags & CLONE_THREAD_)) {
		enter(&copy);
		copy.is_seed = 0;
		copy.forked_by = pid_of(task);
	}
	if (put_tag(child, &copy))
		lose(copy.session, true);
	if (!(flags & CLONE_NEW_) || !is_recorded(tag, COMMANDS))
		return 0;
	draft = begin(OF_FORK, task, tag, NAMESPACE);
	if (!draft)
		return 0;
	draft->record.nr = 56;
	draft->record.args[0] = flags;
	draft->record.ret = pid_of(child);
	hand_over(draft);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, pid_t old, struct linux_binprm *binary)
{
	struct tag *tag = tag_of(task);
	struct draft *draft;

	if (reader.logins && is_let_in(task, tag, binary->file)) {
		let_in(task, tag);
		tag = tag_of(task);
	}
	if (!tag)
		return 0;
	/* What the seed turns into is no longer the program that holds the session. */
	tag->is_seed = 0;
	enter(tag);
	tag->is_left_out = is_left_out_program(binary->file);
	forget_number(task, old);
	if (!is_recorded(tag, COMMANDS))
		return 0;
	draft = begin(OF_EXEC, task, tag, EXEC);
	if (!draft)
		return 0;
	draft->record.nr = 59;
	draft->record.args[7] = binary->argc;
	append_file(draft, binary->file, 0);
	append_string(draft, binary->filename, 1, false);
	append_directory(draft, AT_FDCWD_, 2);
	append_arguments(draft, 3);
	hand_over(draft);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
	struct tag *tag = tag_of(task);
	bool is_last = BPF_CORE_READ(task, signal, live.counter) == 0;
	struct draft *draft;
	struct signal_struct *signal;

	if (!tag)
		return 0;
	/* A process has ended when its last thread has. */
	draft = is_last && is_recorded(tag, COMMANDS) ? begin(OF_EXIT, task, tag, EXIT) : 0;
	has_ended(task, is_last);
	if (!draft)
		return 0;
	signal = task->signal;
	if (BPF_CORE_READ(signal, flags) & SIGNAL_GROUP_EXIT_)
		draft->record.ret = BPF_CORE_READ(signal, group_exit_code);
	else
		draft->record.ret = BPF_CORE_READ(task, exit_code);
	hand_over(draft);
	return 0;
}

/* The socket's own view of both ends: args[0] type, [1] protocol, [2] family, [3] local and remote
 * port; text 1 both addresses. */
static __noinline int append_socket(struct draft *draft, __s32 fd)
{
	struct file *file = file_of(fd);
	struct socket *socket;
	struct sock *sock;
	__u32 at = draft->used;
	__u16 family;

	if (!file)
		return 0;
	socket = BPF_CORE_READ(file, private_data);
	/* Only of a socket's file is this a socket: it points back. */
	if (!socket || BPF_CORE_READ(socket, file) != file)
		return 0;
	sock = BPF_CORE_READ(socket, sk);
	if (!sock)
		return 0;
	family = BPF_CORE_READ(sock, __sk_common.skc_family);
	draft->record.args[0] = BPF_CORE_READ(sock, sk_type);
	draft->record.args[1] = BPF_CORE_READ(sock, sk_protocol);
	draft->record.args[2] = family;
	if (family != AF_INET_ && family != AF_INET6_)
		return 0;
	draft->record.args[3] = BPF_CORE_READ(sock, __sk_common.skc_num) |
				(__u32)BPF_CORE_READ(sock, __sk_common.skc_dport) << 16;
	if (at > DATA_MAX - 32)
		return 0;
	if (family == AF_INET_) {
		__u32 local = BPF_CORE_READ(sock, __sk_common.skc_rcv_saddr);
		__u32 remote = BPF_CORE_READ(sock, __sk_common.skc_daddr);

		bpf_probe_read_kernel(draft->record.data + at, 4, &local);
		bpf_probe_read_kernel(draft->record.data + at + 4, 4, &remote);
		draft->record.lengths[1] = 8;
		draft->used = at + 8;
	} else {
		struct in6_addr *local = __builtin_preserve_access_index(&sock->__sk_common.skc_v6_rcv_saddr);
		struct in6_addr *remote = __builtin_preserve_access_index(&sock->__sk_common.skc_v6_daddr);

		bpf_probe_read_kernel(draft->record.data + at, 16, local);
		bpf_probe_read_kernel(draft->record.data + at + 16, 16, remote);
		draft->record.lengths[1] = 32;
		draft->used = at + 32;
	}
	return 0;
}

static __noinline int on_connect(struct draft *draft)
{
	__s32 fd = draft->record.args[0];

	append_address(draft, (void *)draft->record.args[1], draft->record.args[2], 0);
	append_socket(draft, fd);
	return 0;
}

static __noinline int on_accept(struct draft *draft)
{
	/* Of `listen` the socket is the one that was given, of `accept` the one that was made. */
	__s32 fd = draft->record.nr == 50 ? (__s32)draft->record.args[0] : (__s32)draft->record.ret;

	append_socket(draft, fd);
	return 0;
}

static __noinline int on_send(struct draft *draft, __u32 kind)
{
	__s32 fd = draft->record.args[0];
	void *address = (void *)draft->record.args[4];
	__u32 length = draft->record.args[5];

	if (kind == SEND_MESSAGE) {
		void *message = (void *)draft->record.args[1];

		if (draft->record.flags & COMPAT) {
			__u32 name[2] = {};

			if (bpf_probe_read_user(name, sizeof(name), message))
				draft->record.flags |= UNREADABLE;
			address = (void *)(unsigned long)name[0];
			length = name[1];
		} else {
			length = 0;
			address = 0;
			if (bpf_probe_read_user(&address, sizeof(address), message) ||
			    bpf_probe_read_user(&length, sizeof(length), message + 8))
				draft->record.flags |= UNREADABLE;
		}
	}
	/* Without a destination of its own it goes where the socket is connected to, which is known. One that
	 * cannot be read any more was one: the program took it away while it sent. */
	if ((!address || !length) && !(draft->record.flags & UNREADABLE))
		return 0;
	append_address(draft, address, length, 0);
	append_socket(draft, fd);
	return 1;
}

/* The messages that sendmmsg sent: each has a destination of its own, and is told by itself. */
#define MESSAGES_MAX 1024
struct messages {
	struct draft *draft;
	__u64 next;
};

static long message_step(__u32 at, struct messages *messages)
{
	struct draft *draft = messages->draft;
	struct record *record;

	if (!draft)
		return 1;
	record = &draft->record;
	if ((__s64)at >= record->ret)
		return 1;
	record->args[1] = messages->next;
	record->flags &= COMPAT;
	draft->used = 0;
	for (int i = 0; i < TEXTS; i++)
		record->lengths[i] = 0;
	/* The kernel's `struct mmsghdr`, of both ABIs. */
	messages->next += record->flags & COMPAT ? 32 : 64;
	if (on_send(draft, SEND_MESSAGE))
		hand_over(draft);
	return 0;
}

static __noinline int on_open(struct draft *draft, __u32 directory, __u32 path)
{
	struct record *record = &draft->record;
	struct file *file;
	__u64 how[2] = {};

	switch (record->nr) {
	case 2:
		how[0] = (__u32)record->args[1];
		how[1] = record->args[2];
		break;
	case 85:
		how[0] = 01 | 0100 | 01000;
		how[1] = record->args[1];
		break;
	case 257:
		how[0] = (__u32)record->args[2];
		how[1] = record->args[3];
		break;
	case 437:
		bpf_probe_read_user(how, sizeof(how), (void *)record->args[2]);
		break;
	default:
		how[0] = (__u32)record->args[2];
	}
	record->args[6] = how[0];
	record->args[7] = how[1];
	if (record->ret >= 0) {
		file = file_of(record->ret);
		if (file) {
			draft->looks = reader.left_out & LEFT_OUT_PATHS;
			append_file(draft, file, 0);
			return draft->looks & IS_LEFT_OUT;
		}
	}
	if (path == 0)
		append_directory(draft, record->args[0], 0);
	else
		append_named(draft, directory ? (__s32)record->args[(directory - 1) & 7] : AT_FDCWD_,
			    (void *)record->args[(path - 1) & 7], 0, true);
	return 0;
}

static __noinline int on_paths(struct draft *draft, const volatile struct call *call)
{
	__u32 directory = call->directory, path = call->path;
	__u32 directory_2 = call->directory_2, path_2 = call->path_2;
	struct record *record = &draft->record;

	if (path)
		append_named(draft, directory ? (__s32)record->args[(directory - 1) & 7] : AT_FDCWD_,
			     (void *)record->args[(path - 1) & 7], 0, true);
	if (path_2)
		append_named(draft,
			     directory_2 ? (__s32)record->args[(directory_2 - 1) & 7] : AT_FDCWD_,
			     (void *)record->args[(path_2 - 1) & 7], 2, true);
	return 0;
}

static __noinline int on_failed_exec(struct draft *draft, __u32 directory, __u32 path)
{
	struct record *record = &draft->record;
	__u32 list = path;

	append_named(draft, directory ? (__s32)record->args[(directory - 1) & 7] : AT_FDCWD_,
		     (void *)record->args[(path - 1) & 7], 0, true);
	return append_list(draft, (void *)record->args[list & 7], 2, record->flags & COMPAT);
}

static __noinline int on_other(struct draft *draft, const volatile struct call *call)
{
	__u32 path = call->path, path_2 = call->path_2;
	struct record *record = &draft->record;

	if (path)
		append_string(draft, (void *)record->args[(path - 1) & 7], 0, true);
	if (path_2)
		append_string(draft, (void *)record->args[(path_2 - 1) & 7], 1, true);
	if (path || path_2)
		append_directory(draft, AT_FDCWD_, 3);
	return 0;
}

/* socketcall(2): which call, and where its arguments are. Answers the kind of call it is. */
static __noinline __u32 unpack_socketcall(struct draft *draft)
{
	struct record *record = &draft->record;
	__u32 which = record->args[0];
	__u32 args[6] = {};

	bpf_probe_read_user(args, which == 11 ? 24 : 16, (void *)record->args[1]);
	for (int i = 0; i < 6; i++)
		record->args[i] = args[i];
	switch (which) {
	case 2:
		record->nr = 49;
		return CONNECT;
	case 3:
		record->nr = 42;
		return CONNECT;
	case 4:
		record->nr = 50;
		return ACCEPT;
	case 5:
		record->nr = 43;
		return ACCEPT;
	case 11:
		record->nr = 44;
		return SEND;
	case 16:
		record->nr = 46;
		return SEND_MESSAGE;
	case 18:
		record->nr = 288;
		return ACCEPT;
	case 20:
		record->nr = 307;
		return SEND_MESSAGE;
	}
	return NOTHING;
}

static __always_inline void take_arguments(struct record *record, struct pt_regs *regs, bool is_compat)
{
	if (is_compat) {
		record->args[0] = (__u32)regs->bx;
		record->args[1] = (__u32)regs->cx;
		record->args[2] = (__u32)regs->dx;
		record->args[3] = (__u32)regs->si;
		record->args[4] = (__u32)regs->di;
		record->args[5] = (__u32)regs->bp;
	} else {
		record->args[0] = regs->di;
		record->args[1] = regs->si;
		record->args[2] = regs->dx;
		record->args[3] = regs->r10;
		record->args[4] = regs->r8;
		record->args[5] = regs->r9;
	}
}

SEC("tp_btf/sys_exit")
int BPF_PROG(on_call, struct pt_regs *regs, long ret)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct tag *tag = tag_of(task);
	const volatile struct call *call;
	struct draft *draft;
	__u64 nr;
	__u32 kind;
	bool is_compat;

	if (!tag)
		return 0;
	nr = regs->orig_ax;
	is_compat = task->thread_info.status & TS_COMPAT_;
	/* The x32 ABI has the numbers of the 64-bit one, with this bit. */
	if (!is_compat)
		nr &= ~X32_BIT;
	if (nr >= CALLS)
		return 0;
	call = is_compat ? &calls_32[nr] : &calls_64[nr];
	kind = call->kind;
	if (kind == NOTHING || !is_recorded(tag, call->class))
		return 0;
	/* A program that runs is told of by on_exec. */
	if (kind == EXEC_FAILED && ret >= 0)
		return 0;
	/* Nobody had come: a server that asks over and over. */
	if (kind == ACCEPT && ret == -EAGAIN_)
		return 0;
	draft = begin(OF_CALL, task, tag, kind);
	if (!draft)
		return 0;
	draft->record.nr = call->nr;
	draft->record.ret = ret;
	draft->record.flags = is_compat ? COMPAT : 0;
	take_arguments(&draft->record, regs, is_compat);
	if (kind == SOCKETCALL) {
		kind = unpack_socketcall(draft);
		if (kind == NOTHING)
			return 0;
		draft->record.kind = kind;
	}
	switch (kind) {
	case OPEN:
		if (on_open(draft, call->directory, call->path)) {
			leave_out(draft->record.tag);
			return 0;
		}
		break;
	case EXEC_FAILED:
		on_failed_exec(draft, call->directory, call->path);
		break;
	case PATH:
		on_paths(draft, call);
		break;
	case DESCRIPTOR: {
		struct file *file = file_of(draft->record.args[0]);

		if (file)
			append_file(draft, file, 0);
		break;
	}
	case CONNECT:
		on_connect(draft);
		break;
	case ACCEPT:
		on_accept(draft);
		break;
	case SEND:
	case SEND_MESSAGE:
		draft->record.kind = SEND;
		if (draft->record.nr == SENDMMSG && ret > 0) {
			struct messages messages = { .draft = draft, .next = draft->record.args[1] };

			bpf_loop(MESSAGES_MAX, message_step, &messages, 0);
			return 0;
		}
		if (!on_send(draft, kind))
			return 0;
		break;
	default:
		on_other(draft, call);
	}
	hand_over(draft);
	return 0;
}

#include "rings.h"
#include "resolved.h"
