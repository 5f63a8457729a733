/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/* What nobody wants to know: files that were opened below some directories, and all that some
 * programs do with files and connections. Counted, so that each session can say how much it was.
 *
 * Files and directories are known by what they are and not by their names: neither a link nor a mount
 * makes another file look like one of these. */
#ifndef HANSARD_LEFT_OUT_H
#define HANSARD_LEFT_OUT_H

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 512);
	__type(key, struct identity);
	__type(value, __u32);
} left_out SEC(".maps");

static __always_inline bool is_listed(struct inode *inode, __u32 as)
{
	struct identity identity = { .as = as };

	if (!inode)
		return false;
	identity.inode = BPF_CORE_READ(inode, i_ino);
	identity.device = BPF_CORE_READ(inode, i_sb, s_dev);
	return bpf_map_lookup_elem(&left_out, &identity) != 0;
}

static __always_inline bool is_left_out_path(struct dentry *dentry)
{
	return is_listed(BPF_CORE_READ(dentry, d_inode), LEFT_OUT_PATHS);
}

static __always_inline bool is_left_out_program(struct file *file)
{
	if (!(reader.left_out & LEFT_OUT_PROGRAMS))
		return false;
	return is_listed(BPF_CORE_READ(file, f_path.dentry, d_inode), LEFT_OUT_PROGRAMS);
}

/* One more that nobody wanted to know. */
static __always_inline void leave_out(__u64 session)
{
	struct lost *lost = bpf_map_lookup_elem(&losses, &session);

	if (lost)
		__sync_fetch_and_add(&lost->left_out, 1);
}

#endif
