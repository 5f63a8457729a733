/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/* What the programs hand to user space: crates/capture/src/host/record.rs reads it. */
#ifndef HANSARD_RECORD_H
#define HANSARD_RECORD_H

/* What a record is of. */
enum kind {
	NOTHING = 0,
	EXEC = 1,       /* a program runs: file, path asked for, directory, arguments */
	EXEC_FAILED = 2,/* it does not: path and directory, arguments */
	EXIT = 3,       /* a process ended */
	OPEN = 4,       /* a file was opened, or not */
	PATH = 5,       /* a call with one or two paths */
	DESCRIPTOR = 6, /* a call on an open file: its path */
	CONNECT = 7,
	ACCEPT = 8,
	SEND = 9,       /* a datagram with its own destination */
	CALL = 10,      /* another call: its arguments, and up to two texts */
	RING = 11,      /* an operation of io_uring that has no shape of its own here */
	NAMESPACE = 12, /* a process that began in namespaces of its own */
	SOCKETCALL = 13,/* never handed over: the 32-bit ABI's one call for all of sockets */
	ANSWER = 15,    /* what io_uring answered to what had the same args[5] */
	RESOLVED = 16,  /* the paths that a call with one or two is about, before it is done */
	LOGIN = 17,     /* somebody was let in: what is done from here on has a new tag */
	SEND_MESSAGE = 14, /* never handed over: a SEND whose destination is in a structure */
};

/* Bits of `struct record.flags`. */
enum {
	COMPAT = 1,      /* by the 32-bit ABI */
	URING = 2,       /* by io_uring: asked for; the answer comes by itself, if args[5] is not 0 */
	CUT = 4,         /* a text is longer than what is here */
	UNREADABLE = 8,  /* a text could not be read */
	REVERSED_0 = 16, /* text 0 is names of a path, the last first, each with a zero */
	REVERSED_1 = 32,
	REVERSED_2 = 64,
	REVERSED_3 = 128,
	UNLINKED = 256,  /* the file has no name any more, or never had one */
};

/* Classes of what is recorded, as bits of a session's switches. */
enum { COMMANDS = 1, FILES = 2, NETWORK = 4, LOGINS = 8 };

/* A session's switches have this bit once its recording has ended. */
#define IS_OVER (1U << 31)

#define TEXTS 4
#define DATA_MAX 32768
#define TEXT_MAX 4096
#define ARGUMENTS_MAX 16384
#define NAME_MAX_ 256

struct record {
	__u64 time_ns;
	__u64 tag;
	__u64 cgroup;
	__s64 ret;
	__u64 args[8]; /* [6]: of EXEC true length of arguments, [7]: their number */
	__u32 kind;
	__u32 nr; /* the call's number in the 64-bit ABI, or io_uring's operation */
	__u32 flags;
	__u32 pid;
	__u32 tid;
	__u32 parent;
	__u32 forked_by;
	__u32 uid;
	__u32 euid;
	__u32 gid;
	__u32 login_uid;
	__u32 audit_session;
	__u32 mount_ns;
	__u32 pid_ns;
	__u32 lengths[TEXTS];
	char comm[16];
	char data[DATA_MAX];
};

#define HEAD_BYTES __builtin_offsetof(struct record, data)

/* Bits of `struct draft.looks`, and the first two of `struct reader.left_out`. */
enum { LEFT_OUT_PATHS = 1, LEFT_OUT_PROGRAMS = 2, IS_LEFT_OUT = 4 };

/* A record while it is made. `used` bytes of `data` are. */
struct draft {
	__u32 used;
	__u32 looks; /* whether the path is looked at, and what was found */
	struct record record;
};

/* What a task carries. It is its children's from their first moment on. */
struct tag {
	__u64 session;
	__u64 outer;  /* the session that this one began in: what this one leaves running goes on there */
	__u64 begins; /* the program holds this session, within its own: what it forks is of that one */
	__u32 forked_by;
	__u32 is_seed; /* the program that holds the session: what it forks is recorded, not it */
	__u32 is_left_out; /* the program is one whose files and connections nobody wants to know */
	__u32 unused;
};

/* A file or directory, whatever it is called, and as which it is left out. */
struct identity {
	__u64 inode;
	__u32 device;
	__u32 as; /* LEFT_OUT_PATHS or LEFT_OUT_PROGRAMS */
};

/* What the reader says. */
struct reader {
	__u32 pid_ns;         /* the namespace whose numbers of processes it knows */
	__u32 tags_by_number; /* this kernel has no task storage */
	__u32 left_out;       /* whether there are any paths, and programs */
	__u32 answers;        /* whether io_uring's are told */
	__u32 logins;         /* what is told of those that nobody hands over, and LOGINS if they are found */
};

/* The name of a program's file. */
#define DOOR_BYTES 32
struct door {
	char name[DOOR_BYTES];
};

/* Tags that the kernel itself gives have this bit. */
#define TAG_OF_LOGIN (1ULL << 62)

/* Logins that were found. */
struct arrivals {
	__u64 next;
	__u64 turned_away; /* could not be followed */
};

/* What a session has lost. */
struct lost {
	__u64 first_ns;
	__u64 records;
	__u64 untagged;
	__u64 left_out; /* not lost: nobody wanted to know */
};

/* Whose a tag is, and how much of what was lost has been told: notes of the reader's, for the one after
 * it where the programs stay. */
struct owner {
	__u8 session[16];
	__u64 told_records;
	__u64 told_untagged;
};

#endif
