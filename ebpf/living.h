/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/* Which sessions there is anything of: the reader asks now and then, and forgets those that have ended and
 * left nothing running. */
#ifndef HANSARD_LIVING_H
#define HANSARD_LIVING_H

/* What the kernel goes through, a task at a time; at the end none. */
struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

/* Hands over the tag of each task that has one. */
SEC("iter/task")
int each_task(struct bpf_iter__task *at)
{
	struct task_struct *task = at->task;
	struct tag *tag;

	if (!task)
		return 0;
	tag = tag_of(task);
	if (tag)
		bpf_seq_write(at->meta->seq, tag, sizeof(*tag));
	return 0;
}

#endif
