/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/* The files that a call with a path is about, where the kernel lets programs be attached to its own
 * functions: links and `..` are resolved then, and the program cannot change its mind any more.
 *
 * Each is handed over before the call is done, and the call's own record follows when it returns;
 * user space puts them together. Programs look, and change nothing: these are no security hooks
 * themselves, they run when one is asked. */
#ifndef HANSARD_RESOLVED_H
#define HANSARD_RESOLVED_H

/* Begins a record of what this call is about. */
static __always_inline struct draft *resolve(__u32 nr)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct tag *tag = tag_of(task);
	struct draft *draft;

	if (!is_recorded(tag, FILES))
		return 0;
	draft = begin(OF_RESOLVED, task, tag, RESOLVED);
	if (!draft)
		return 0;
	draft->record.nr = nr;
	/* What tells this call from the thread's others. */
	take_arguments(&draft->record, (struct pt_regs *)bpf_task_pt_regs(task),
		       task->thread_info.status & TS_COMPAT_);
	return draft;
}

static __always_inline int resolved(__u32 nr, const struct path *of, struct dentry *dentry)
{
	struct draft *draft = resolve(nr);

	if (!draft)
		return 0;
	append_path(draft, dentry, BPF_CORE_READ(of, mnt), 0);
	hand_over(draft);
	return 0;
}

static __always_inline int resolved_two(__u32 nr, struct vfsmount *mount, struct dentry *old,
					struct dentry *new)
{
	struct draft *draft = resolve(nr);

	if (!draft)
		return 0;
	append_path(draft, old, mount, 0);
	append_path(draft, new, mount, 2);
	hand_over(draft);
	return 0;
}

SEC("fentry/security_path_unlink")
int BPF_PROG(on_path_unlink, const struct path *dir, struct dentry *dentry)
{
	return resolved(87, dir, dentry);
}

SEC("fentry/security_path_rmdir")
int BPF_PROG(on_path_rmdir, const struct path *dir, struct dentry *dentry)
{
	return resolved(84, dir, dentry);
}

SEC("fentry/security_path_mkdir")
int BPF_PROG(on_path_mkdir, const struct path *dir, struct dentry *dentry)
{
	return resolved(83, dir, dentry);
}

SEC("fentry/security_path_mknod")
int BPF_PROG(on_path_mknod, const struct path *dir, struct dentry *dentry)
{
	return resolved(133, dir, dentry);
}

SEC("fentry/security_path_symlink")
int BPF_PROG(on_path_symlink, const struct path *dir, struct dentry *dentry)
{
	return resolved(88, dir, dentry);
}

SEC("fentry/security_path_truncate")
int BPF_PROG(on_path_truncate, const struct path *path)
{
	return resolved(76, path, BPF_CORE_READ(path, dentry));
}

SEC("fentry/security_path_chmod")
int BPF_PROG(on_path_chmod, const struct path *path)
{
	return resolved(90, path, BPF_CORE_READ(path, dentry));
}

SEC("fentry/security_path_chown")
int BPF_PROG(on_path_chown, const struct path *path)
{
	return resolved(92, path, BPF_CORE_READ(path, dentry));
}

/* Both names are of one mount: the kernel asks for nothing else. */
SEC("fentry/security_path_link")
int BPF_PROG(on_path_link, struct dentry *old, const struct path *dir, struct dentry *new)
{
	return resolved_two(86, BPF_CORE_READ(dir, mnt), old, new);
}

SEC("fentry/security_path_rename")
int BPF_PROG(on_path_rename, const struct path *old_dir, struct dentry *old,
	     const struct path *new_dir, struct dentry *new)
{
	return resolved_two(82, BPF_CORE_READ(old_dir, mnt), old, new);
}

#endif
