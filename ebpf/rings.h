/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/* What programs ask for through io_uring, and what they are answered. */
#ifndef HANSARD_RINGS_H
#define HANSARD_RINGS_H

/* Requests that have no answer yet: whose they are. The oldest goes when there are too many; it is
 * told without its answer. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, __u64);
} asked SEC(".maps");

/* The number under which the answer will come, 0 if none will. */
static __always_inline __u64 await_answer(struct io_kiocb *request, __u64 session)
{
	__u64 number = (__u64)request;

	if (!reader.answers || bpf_map_update_elem(&asked, &number, &session, 0))
		return 0;
	return number;
}

static __always_inline void ring_path(struct draft *draft, __s32 fd, struct filename *name, __u32 text)
{
	append_named(draft, fd, BPF_CORE_READ(name, name), text, false);
}

/* An operation of io_uring, by the thread that asks for it or by the kernel's that polls for it. Which
 * path is meant was copied from the program before; it cannot be changed any more. */
static __always_inline int on_ring(struct io_kiocb *request)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct tag *tag = tag_of(task);
	struct draft *draft;
	struct record *record;
	__u32 opcode, kind, nr;
	__u8 class = FILES;

	if (!tag)
		return 0;
	opcode = request->opcode;
	kind = PATH;
	switch (opcode) {
	case 18:
		kind = OPEN;
		nr = 257;
		break;
	case 28:
		kind = OPEN;
		nr = 437;
		break;
	case 35:
		nr = 316;
		break;
	case 36:
		nr = 263;
		break;
	case 37:
		nr = 258;
		break;
	case 38:
		nr = 266;
		break;
	case 39:
		nr = 265;
		break;
	case 16:
		kind = CONNECT;
		nr = 42;
		class = NETWORK;
		break;
	case 9: case 13: case 26: case 45: case 47: case 48: case 56: case 57:
		kind = RING;
		nr = opcode;
		class = NETWORK;
		break;
	case 17: case 41: case 42: case 55:
		kind = RING;
		nr = opcode;
		break;
	default:
		return 0;
	}
	if (!is_recorded(tag, class))
		return 0;
	draft = begin(OF_RING, task, tag, kind);
	if (!draft)
		return 0;
	record = &draft->record;
	record->nr = nr;
	record->flags = URING;
	record->args[5] = await_answer(request, record->tag);
	/* What an operation is given lies at the beginning of its request. */
	switch (opcode) {
	case 18: case 28: {
		struct io_open *open = (void *)request;

		record->args[6] = BPF_CORE_READ(open, how.flags);
		record->args[7] = BPF_CORE_READ(open, how.mode);
		ring_path(draft, BPF_CORE_READ(open, dfd), BPF_CORE_READ(open, filename), 0);
		break;
	}
	case 35: {
		struct io_rename *rename = (void *)request;

		record->args[4] = BPF_CORE_READ(rename, flags);
		ring_path(draft, BPF_CORE_READ(rename, old_dfd), BPF_CORE_READ(rename, oldpath), 0);
		ring_path(draft, BPF_CORE_READ(rename, new_dfd), BPF_CORE_READ(rename, newpath), 2);
		break;
	}
	case 36: {
		struct io_unlink *unlink = (void *)request;

		record->args[2] = BPF_CORE_READ(unlink, flags);
		ring_path(draft, BPF_CORE_READ(unlink, dfd), BPF_CORE_READ(unlink, filename), 0);
		break;
	}
	case 37: {
		struct io_mkdir *mkdir = (void *)request;

		record->args[2] = BPF_CORE_READ(mkdir, mode);
		ring_path(draft, BPF_CORE_READ(mkdir, dfd), BPF_CORE_READ(mkdir, filename), 0);
		break;
	}
	case 38: case 39: {
		struct io_link *link = (void *)request;

		ring_path(draft, BPF_CORE_READ(link, old_dfd), BPF_CORE_READ(link, oldpath), 0);
		ring_path(draft, BPF_CORE_READ(link, new_dfd), BPF_CORE_READ(link, newpath), 2);
		break;
	}
	case 16: {
		struct io_connect *connect = (void *)request;

		append_address(draft, BPF_CORE_READ(connect, addr), BPF_CORE_READ(connect, addr_len), 0);
		break;
	}
	}
	hand_over(draft);
	return 0;
}

SEC("tp_btf/io_uring_submit_req")
int BPF_PROG(on_ring_request, struct io_kiocb *request)
{
	return on_ring(request);
}

/* The same of kernels before 6.3. */
SEC("tp_btf/io_uring_submit_sqe")
int BPF_PROG(on_ring_entry, struct io_kiocb *request)
{
	return on_ring(request);
}

/* What a request was answered with. It may be another task that runs now, or none. */
static __always_inline int on_answer(__u64 number, __s64 answer)
{
	__u64 *session = bpf_map_lookup_elem(&asked, &number);
	struct record *record;
	__u64 tag;

	if (!session)
		return 0;
	tag = *session;
	bpf_map_delete_elem(&asked, &number);
	record = bpf_ringbuf_reserve(&records, HEAD_BYTES, 0);
	if (!record) {
		lose(tag, false);
		return 0;
	}
	__builtin_memset(record, 0, HEAD_BYTES);
	record->time_ns = bpf_ktime_get_ns();
	record->tag = tag;
	record->kind = ANSWER;
	record->ret = answer;
	record->args[5] = number;
	bpf_ringbuf_submit(record, wake_flags());
	return 0;
}

SEC("tp_btf/io_uring_complete")
int BPF_PROG(on_ring_answer, void *ring, void *request, struct io_uring_cqe *answer)
{
	return on_answer((__u64)request, BPF_CORE_READ(answer, res));
}

/* The same of kernels before 6.13, which hand over what stands in it. */
SEC("tp_btf/io_uring_complete")
int BPF_PROG(on_ring_result, void *ring, void *request, __u64 user_data, int answer)
{
	return on_answer((__u64)request, answer);
}

#endif
