/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/* Logins that nobody hands over: of `sshd` and `login` as they are, with no recorder in between.
 *
 * What such a program starts for somebody it has let in leads a session of the system (setsid), or is
 * called as a login shell is, or is started by what does so and has become somebody (`sshd` before the
 * shell: ~/.ssh/rc, xauth), and is another program than itself. It gets a tag when it becomes that
 * program, before the first instruction of it runs: of what it does nothing is missed. Helpers that a door
 * runs as root are none of these; what it runs for root before the shell looks like them, and is missed. */
#ifndef HANSARD_LOGINS_H
#define HANSARD_LOGINS_H

#define WRITABLE_BY_OTHERS 022
/* Kinds of numbers in `signal_struct.pids`. */
enum { OF_PROCESS = 1, OF_SESSION = 3 };

/* Programs that let people in, by the names of their files. User space fills it. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, struct door);
	__type(value, __u32);
} doors SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct arrivals);
} arrivals SEC(".maps");

/* Nobody but root can have made this file one of these: its name is the one it has in its directory,
 * whatever link led there. */
static __noinline bool is_door(struct file *file)
{
	struct door door = {};
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);
	struct inode *inode = BPF_CORE_READ(dentry, d_inode);

	if (!inode || BPF_CORE_READ(inode, i_uid.val) != 0 ||
	    BPF_CORE_READ(inode, i_mode) & WRITABLE_BY_OTHERS)
		return false;
	bpf_probe_read_kernel_str(door.name, sizeof(door.name), BPF_CORE_READ(dentry, d_name.name));
	return bpf_map_lookup_elem(&doors, &door) != 0;
}

static __always_inline bool is_live(struct tag *tag)
{
	return tag && switches_of(tag) != 0;
}

/* Whether it was called as one: by a name with `-` before it. */
static __always_inline bool is_login_shell(struct task_struct *task)
{
	unsigned long arguments = BPF_CORE_READ(task, mm, arg_start);
	char first = 0;

	bpf_probe_read_user(&first, sizeof(first), (void *)arguments);
	return first == '-';
}

static __always_inline bool leads_session(struct task_struct *task)
{
	return BPF_CORE_READ(task, signal, pids[OF_SESSION]) ==
	       BPF_CORE_READ(task, signal, pids[OF_PROCESS]);
}

/* Whether this process is a door that root holds. */
static __always_inline bool is_roots_door(struct task_struct *task)
{
	struct file *file = task->cred->euid.val == 0 ? BPF_CORE_READ(task, mm, exe_file) : 0;

	return file && is_door(file);
}

/* Whether a program that begins is what somebody was let in to. */
static __always_inline bool is_let_in(struct task_struct *task, struct tag *tag, struct file *file)
{
	struct task_struct *parent = task->real_parent;
	bool is_somebody = parent->cred->euid.val != 0, is_before = false;
	struct file *door;

	if (!leads_session(task) && !is_login_shell(task)) {
		/* Before the shell, by the process that becomes it. */
		is_before = is_somebody && leads_session(parent);
		if (!is_before)
			return false;
	}
	door = BPF_CORE_READ(parent, mm, exe_file);
	if (!door || !is_door(door) || is_door(file))
		return false;
	/* Somebody's own door leads nowhere: what comes through it stays in their session. That of
	 * root's has somebody's numbers, too, once it knows whom it lets in, and root's is above it. */
	if (is_live(tag) && tag->forked_by == 0)
		return false; /* It was let in already, or holds a session: what it turns into stays. */
	if (is_live(tag) && tag->forked_by != pid_of(parent))
		return false; /* Somebody who was let in has made it the door's child (CLONE_PARENT). */
	if (is_live(tag) && is_somebody)
		return is_roots_door(is_before ? parent->real_parent->real_parent :
						 parent->real_parent);
	return true;
}

/* A tag that is there already is changed where it is: beside a task there is one. */
static __always_inline int retag(struct task_struct *task, struct tag *old, struct tag *tag)
{
	if (!old)
		return put_tag(task, tag);
	*old = *tag;
	return 0;
}

/* Gives what begins a tag of its own, and says so: who, from where (the variables that the door set),
 * at which terminal. Its records come behind. */
static __noinline int let_in(struct task_struct *task, struct tag *old)
{
	struct tag tag = {}, before = {};
	struct lost lost = {};
	__u32 first = 0, switches = reader.logins & ~LOGINS;
	struct arrivals *all = bpf_map_lookup_elem(&arrivals, &first);
	struct draft *draft;
	struct file *door;

	if (!all)
		return 0;
	if (pid_of(task) == 0) {
		/* Of a namespace that the reader does not look into: not of its machine. */
		return 0;
	}
	tag.session = TAG_OF_LOGIN | __sync_fetch_and_add(&all->next, 1);
	draft = begin(OF_EXEC, task, &tag, LOGIN);
	if (!draft)
		return 0;
	draft->record.nr = 59;
	if (old) {
		before = *old;
		draft->record.args[0] = before.session;
		tag.outer = goes_on(before.outer) ? before.outer : before.session;
	}
	draft->record.forked_by = 0;
	door = BPF_CORE_READ(task, real_parent, mm, exe_file);
	if (door)
		append_file(draft, door, 0);
	if (BPF_CORE_READ(task, signal, tty))
		append_string(draft, BPF_CORE_READ(task, signal, tty, name), 1, false);
	append_environment(draft, 3);
	if (bpf_map_update_elem(&losses, &tag.session, &lost, 0) ||
	    bpf_map_update_elem(&sessions, &tag.session, &switches, 0) || retag(task, old, &tag) ||
	    hand_over(draft)) {
		bpf_map_delete_elem(&sessions, &tag.session);
		bpf_map_delete_elem(&losses, &tag.session);
		/* It stays where it was. */
		if (old)
			*old = before;
		__sync_fetch_and_add(&all->turned_away, 1);
	}
	return 0;
}

#endif
