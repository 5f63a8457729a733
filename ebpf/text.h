/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/* Texts of a record: names of the kernel's own path of a file, strings of a program, bytes.
 *
 * A path of the kernel is handed over as it is walked, the last name first; user space turns it
 * around. Texts lie one behind another in `record.data`, their lengths in `record.lengths`. */
#ifndef HANSARD_TEXT_H
#define HANSARD_TEXT_H

static __always_inline bool has_room(struct draft *draft, __u32 bytes)
{
	if (draft->used <= DATA_MAX - bytes)
		return true;
	draft->record.flags |= CUT;
	return false;
}

/* One string of the kernel's, at most NAME_MAX_ long with its zero. */
static __always_inline long append_name(struct draft *draft, const void *from)
{
	__u32 at = draft->used;
	long got;

	if (at > DATA_MAX - NAME_MAX_) {
		draft->record.flags |= CUT;
		return -1;
	}
	got = bpf_probe_read_kernel_str(draft->record.data + at, NAME_MAX_, from);
	if (got > 0)
		draft->used = at + got;
	return got;
}

struct walk {
	struct draft *draft;
	struct dentry *dentry;
	struct vfsmount *mount;
	struct dentry *top; /* of what is mounted there */
	struct dentry *root;
	struct vfsmount *root_mount;
	__u32 begin;
	__u32 is_whole;
	__u32 looks;
};

static long walk_step(__u32 step, struct walk *walk)
{
	struct dentry *dentry = walk->dentry;
	struct vfsmount *here = walk->mount;
	struct dentry *top = walk->top;
	struct dentry *parent;
	const unsigned char *name;

	if (walk->looks && is_left_out_path(dentry)) {
		walk->draft->looks = IS_LEFT_OUT;
		return 1;
	}
	if (dentry == walk->root && here == walk->root_mount) {
		walk->is_whole = 1;
		return 1;
	}
	parent = BPF_CORE_READ(dentry, d_parent);
	if (dentry == top || dentry == parent) {
		struct mount *mount, *above;

		mount = (void *)here - bpf_core_field_offset(struct mount, mnt);
		above = BPF_CORE_READ(mount, mnt_parent);
		if (mount == above || dentry != top) {
			/* Of no mount that can be seen: a pipe, a memfd. Its own name says what. */
			if (step == 0)
				append_name(walk->draft, BPF_CORE_READ(dentry, d_name.name));
			walk->is_whole = 1;
			return 1;
		}
		/* What is mounted below a directory is not in it. */
		walk->looks = 0;
		walk->dentry = BPF_CORE_READ(mount, mnt_mountpoint);
		here = (void *)above + bpf_core_field_offset(struct mount, mnt);
		walk->mount = here;
		walk->top = BPF_CORE_READ(here, mnt_root);
		return 0;
	}
	if (walk->draft->used - walk->begin > TEXT_MAX)
		return 1;
	name = BPF_CORE_READ(dentry, d_name.name);
	if (append_name(walk->draft, name) < 0)
		return 1;
	walk->dentry = parent;
	return 0;
}

/* The path of this dentry as the current process sees it: up to its own root. */
static __noinline int append_path(struct draft *draft, struct dentry *dentry, struct vfsmount *mount,
				  __u32 text)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct fs_struct *fs = task->fs;
	struct walk walk = {
		.draft = draft,
		.dentry = dentry,
		.mount = mount,
		.top = BPF_CORE_READ(mount, mnt_root),
		.root = BPF_CORE_READ(fs, root.dentry),
		.root_mount = BPF_CORE_READ(fs, root.mnt),
		.looks = reader.left_out & draft->looks,
	};

	if (text >= TEXTS)
		return 0;
	walk.begin = draft->used;
	bpf_loop(256, walk_step, &walk, 0);
	if (!walk.is_whole)
		draft->record.flags |= CUT;
	draft->record.lengths[text] = draft->used - walk.begin;
	draft->record.flags |= REVERSED_0 << text;
	return 0;
}

static __always_inline void append_file(struct draft *draft, struct file *file, __u32 text)
{
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);

	if (BPF_CORE_READ(dentry, d_inode, i_nlink) == 0)
		draft->record.flags |= UNLINKED;
	append_path(draft, dentry, BPF_CORE_READ(file, f_path.mnt), text);
}

/* A string of the program's (`is_user`) or of the kernel's. */
static __noinline int append_string(struct draft *draft, const void *from, __u32 text, bool is_user)
{
	__u32 at = draft->used;
	long got;

	if (text >= TEXTS || at > DATA_MAX - TEXT_MAX)
		return 0;
	if (is_user)
		got = bpf_probe_read_user_str(draft->record.data + at, TEXT_MAX, from);
	else
		got = bpf_probe_read_kernel_str(draft->record.data + at, TEXT_MAX, from);
	if (got < 0) {
		draft->record.flags |= UNREADABLE;
		return 0;
	}
	if (got == TEXT_MAX)
		draft->record.flags |= CUT;
	draft->record.lengths[text] = got;
	draft->used = at + got;
	return 0;
}

static __always_inline struct file *file_of(__s32 fd)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct fdtable *table = task->files->fdt;
	struct file **files = table->fd;
	struct file *file = 0;

	if (fd < 0 || (__u32)fd >= table->max_fds)
		return 0;
	bpf_probe_read_kernel(&file, sizeof(file), files + fd);
	return file;
}

/* Where a path that does not begin with a slash begins: this descriptor's directory. */
static __noinline int append_directory(struct draft *draft, __s32 fd, __u32 text)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct file *file;

	if (fd == AT_FDCWD_) {
		struct fs_struct *fs = task->fs;

		return append_path(draft, BPF_CORE_READ(fs, pwd.dentry), BPF_CORE_READ(fs, pwd.mnt),
				   text);
	}
	file = file_of(fd);
	if (file)
		return append_path(draft, BPF_CORE_READ(file, f_path.dentry),
				   BPF_CORE_READ(file, f_path.mnt), text);
	return 0;
}

/* A path as a call has it, as text `text`, and if it is relative its directory as the next one. */
static __noinline int append_named(struct draft *draft, __s32 fd, const void *path, __u32 text,
				   bool is_user)
{
	__u32 at = draft->used;
	char first = 0;

	append_string(draft, path, text, is_user);
	if (at < DATA_MAX)
		first = draft->record.data[at];
	/* An empty path means the descriptor itself. */
	if (draft->used == at || first != '/')
		append_directory(draft, fd, text + 1);
	return 0;
}

/* Bytes of the current process's memory, at most ARGUMENTS_MAX of them. */
static __noinline int append_memory(struct draft *draft, unsigned long from, unsigned long length,
				    __u32 text)
{
	__u32 begin = draft->used;

	if (text >= TEXTS)
		return 0;
	if (length > ARGUMENTS_MAX) {
		draft->record.flags |= CUT;
		length = ARGUMENTS_MAX;
	}
	for (int i = 0; i < ARGUMENTS_MAX / TEXT_MAX; i++) {
		__u32 at = draft->used, part = TEXT_MAX;
		long failed;

		if (length == 0 || at > DATA_MAX - TEXT_MAX)
			break;
		if (length >= TEXT_MAX) {
			failed = bpf_probe_read_user(draft->record.data + at, TEXT_MAX, (void *)from);
		} else {
			part = length & (TEXT_MAX - 1);
			failed = bpf_probe_read_user(draft->record.data + at, part, (void *)from);
		}
		if (failed) {
			draft->record.flags |= UNREADABLE;
			break;
		}
		from += part;
		length -= part;
		draft->used = at + part;
	}
	draft->record.lengths[text] = draft->used - begin;
	return 0;
}

/* The arguments of the program that runs now, as they lie in its memory. */
static __noinline int append_arguments(struct draft *draft, __u32 text)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct mm_struct *mm = task->mm;
	unsigned long from = BPF_CORE_READ(mm, arg_start);
	unsigned long length = BPF_CORE_READ(mm, arg_end) - from;

	draft->record.args[6] = length;
	return append_memory(draft, from, length, text);
}

/* Its variables, as whoever started it set them: the last of them, which doors set after those that
 * the other side sends. args[6]: how long all are; the first that is here may be a part then. */
static __noinline int append_environment(struct draft *draft, __u32 text)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct mm_struct *mm = task->mm;
	unsigned long from = BPF_CORE_READ(mm, env_start), end = BPF_CORE_READ(mm, env_end);

	draft->record.args[6] = end - from;
	if (end - from > ARGUMENTS_MAX)
		from = end - ARGUMENTS_MAX;
	return append_memory(draft, from, end - from, text);
}

struct arguments {
	struct draft *draft;
	const void *list;
	__u32 is_compat;
	__u32 count;
	__u32 begin;
};

static long argument_step(__u32 step, struct arguments *arguments)
{
	struct draft *draft = arguments->draft;
	const void *argument = 0;
	__u32 at = draft->used;
	long got;

	if (arguments->is_compat) {
		__u32 short_argument = 0;

		if (bpf_probe_read_user(&short_argument, 4, arguments->list + 4 * step))
			return 1;
		argument = (void *)(unsigned long)short_argument;
	} else if (bpf_probe_read_user(&argument, 8, arguments->list + 8 * step)) {
		return 1;
	}
	if (!argument)
		return 1;
	if (at > DATA_MAX - TEXT_MAX || at - arguments->begin > ARGUMENTS_MAX - TEXT_MAX) {
		draft->record.flags |= CUT;
		return 1;
	}
	got = bpf_probe_read_user_str(draft->record.data + at, TEXT_MAX, argument);
	if (got < 0) {
		draft->record.flags |= UNREADABLE;
		return 1;
	}
	if (got == TEXT_MAX)
		draft->record.flags |= CUT;
	draft->used = at + got;
	arguments->count++;
	return 0;
}

/* The arguments of a program that did not come to run. */
static __noinline int append_list(struct draft *draft, const void *list, __u32 text, bool is_compat)
{
	struct arguments arguments = {
		.draft = draft,
		.list = list,
		.is_compat = is_compat,
		.begin = draft->used,
	};

	if (text >= TEXTS)
		return 0;
	bpf_loop(1024, argument_step, &arguments, 0);
	draft->record.args[7] = arguments.count;
	draft->record.lengths[text] = draft->used - arguments.begin;
	return 0;
}

/* An address of a socket, as the program gave it. */
static __noinline int append_address(struct draft *draft, const void *from, __u32 length, __u32 text)
{
	__u32 at = draft->used;

	if (text >= TEXTS || at > DATA_MAX - 128 || length == 0 || !from)
		return 0;
	if (length > 128)
		length = 128;
	if (bpf_probe_read_user(draft->record.data + at, length, from)) {
		draft->record.flags |= UNREADABLE;
		return 0;
	}
	draft->record.lengths[text] = length;
	draft->used = at + length;
	return 0;
}

#endif
