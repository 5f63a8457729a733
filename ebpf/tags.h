/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/* Which session a task belongs to: what the kernel keeps beside each task, or where it cannot do
 * that, a table of the numbers of threads. */
#ifndef HANSARD_TAGS_H
#define HANSARD_TAGS_H

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct tag);
} tags SEC(".maps");

/* By the number that a thread has in the reader's pid namespace. A number's next owner is put in or
 * taken out when it is made, so what an earlier one left here is nobody's. When it is full, a process
 * is not followed, and the session has lost something. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct tag);
} numbered_tags SEC(".maps");

static __always_inline __u32 number_of(struct pid *pid)
{
	__u32 level = BPF_CORE_READ(pid, level);
	__u32 size = bpf_core_type_size(struct upid);
	void *numbers = (void *)pid + bpf_core_field_offset(struct pid, numbers);

	for (__u32 i = 0; i < PID_LEVELS_MAX && i <= level; i++) {
		struct upid *upid = numbers + i * size;

		if (BPF_CORE_READ(upid, ns, ns.inum) == reader.pid_ns)
			return BPF_CORE_READ(upid, nr);
	}
	return 0;
}

static __always_inline __u32 pid_of(struct task_struct *task)
{
	if (reader.pid_ns == INITIAL_PID_NS)
		return task->tgid;
	/* 1 is PIDTYPE_TGID. */
	return number_of(BPF_CORE_READ(task, signal, pids[1]));
}

static __always_inline __u32 tid_of(struct task_struct *task)
{
	if (reader.pid_ns == INITIAL_PID_NS)
		return task->pid;
	return number_of(BPF_CORE_READ(task, thread_pid));
}

static __always_inline struct tag *tag_of(struct task_struct *task)
{
	if (reader.tags_by_number) {
		__u32 number = tid_of(task);

		return bpf_map_lookup_elem(&numbered_tags, &number);
	}
	/* Nothing is kept beside most tasks: a look, where the helper would be a call. */
	if (bpf_core_field_exists(task->bpf_storage) && !task->bpf_storage)
		return 0;
	return bpf_task_storage_get(&tags, task, 0, 0);
}

/* Gives a task a tag; not 0 if it has none then. */
static __always_inline int put_tag(struct task_struct *task, struct tag *tag)
{
	if (reader.tags_by_number) {
		__u32 number = tid_of(task);

		return number == 0 || bpf_map_update_elem(&numbered_tags, &number, tag, 0) != 0;
	}
	return !bpf_task_storage_get(&tags, task, tag, BPF_LOCAL_STORAGE_GET_F_CREATE);
}

/* A task that is of no session: what an earlier one of its number left does not count. */
static __always_inline void forget(struct task_struct *task)
{
	if (reader.tags_by_number) {
		__u32 number = tid_of(task);

		bpf_map_delete_elem(&numbered_tags, &number);
	}
}

/* A thread that ran another program took its process's number: it had another one before. */
static __always_inline void forget_number(struct task_struct *task, __u32 old)
{
	if (reader.tags_by_number && reader.pid_ns == INITIAL_PID_NS &&
	    old != (__u32)task->pid)
		bpf_map_delete_elem(&numbered_tags, &old);
}

/* A thread has ended. That of the process's own number stays until the last one has: a thread that
 * runs another program takes that number. */
static __always_inline void has_ended(struct task_struct *task, bool is_last)
{
	if (reader.tags_by_number) {
		__u32 own = tid_of(task), first = pid_of(task);

		if (own != first || is_last)
			bpf_map_delete_elem(&numbered_tags, &own);
		if (is_last)
			bpf_map_delete_elem(&numbered_tags, &first);
	}
}

/* Whether a session's recording has not ended. */
static __always_inline bool goes_on(__u64 session)
{
	__u32 *switches = session ? bpf_map_lookup_elem(&sessions, &session) : 0;

	return switches && !(*switches & IS_OVER);
}

/* Switches of the session that a task is of, 0 if nobody is told of it any more. What is left of one
 * that has ended goes on in the one that it began in, if that does. */
static __always_inline __u32 *switches_of(struct tag *tag)
{
	__u64 session = tag->session, outer = tag->outer;
	__u32 *switches = bpf_map_lookup_elem(&sessions, &session), *others;

	if (!outer || (switches && !(*switches & IS_OVER)))
		return switches;
	others = bpf_map_lookup_elem(&sessions, &outer);
	if (!others || (switches && *others & IS_OVER))
		return switches;
	tag->session = outer;
	tag->outer = 0;
	return others;
}

/* What a program that holds a session within its own starts, or turns into, is of that session. */
static __always_inline void enter(struct tag *tag)
{
	if (goes_on(tag->begins)) {
		/* The outermost one that goes on: the others end before it. */
		if (!goes_on(tag->outer))
			tag->outer = tag->session;
		tag->session = tag->begins;
	}
	tag->begins = 0;
}

#endif
