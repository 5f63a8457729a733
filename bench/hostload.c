/* What bench/host_events.py measures: programs that do one thing, and a way to say what CPU time
 * another program took.
 *
 *   hostload spawn COUNT            starts /bin/true so often
 *   hostload open DIR COUNT         opens and closes files f0 to f999 of DIR, in turn
 *   hostload rate DIR RATE SECONDS  looks for files that are not there, so many a second
 *   hostload cpu FILE PROGRAM...    runs it; CPU nanoseconds of it and of its children go into FILE
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static int spawn(long count)
{
	char *const argv[] = { "true", 0 };

	for (long i = 0; i < count; i++) {
		pid_t child;
		int status;

		if (posix_spawn(&child, "/bin/true", 0, 0, argv, environ) ||
		    waitpid(child, &status, 0) < 0 || status)
			return 1;
	}
	return 0;
}

static int opens(const char *dir, long count)
{
	char name[4096];

	for (long i = 0; i < count; i++) {
		int fd;

		snprintf(name, sizeof(name), "%s/f%ld", dir, i % 1000);
		fd = open(name, O_RDONLY);
		if (fd < 0)
			return 1;
		close(fd);
	}
	return 0;
}

static double now(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return at.tv_sec + at.tv_nsec / 1e9;
}

/* A tick of ten milliseconds at a time: what could not be done in one is done in the next. */
static int rate(const char *dir, long a_second, double seconds)
{
	double since = now(), passed;
	char name[4096];
	long done = 0;

	while ((passed = now() - since) < seconds) {
		long due = passed * a_second;

		for (; done < due; done++) {
			snprintf(name, sizeof(name), "%s/none%ld", dir, done);
			if (open(name, O_RDONLY) >= 0)
				return 1;
		}
		usleep(10000);
	}
	printf("%ld %.3f\n", done, now() - since);
	return 0;
}

static long long nanos(struct timeval t)
{
	return t.tv_sec * 1000000000LL + t.tv_usec * 1000LL;
}

static int cpu(const char *file, char **argv)
{
	struct rusage of;
	pid_t child;
	FILE *to;
	int status;

	if (posix_spawnp(&child, argv[0], 0, 0, argv, environ) || waitpid(child, &status, 0) < 0)
		return 1;
	getrusage(RUSAGE_CHILDREN, &of);
	to = fopen(file, "w");
	if (!to || fprintf(to, "%lld\n", nanos(of.ru_utime) + nanos(of.ru_stime)) < 0 || fclose(to))
		return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";

	if (!strcmp(what, "spawn"))
		return spawn(atol(argv[2]));
	if (argc > 3 && !strcmp(what, "open"))
		return opens(argv[2], atol(argv[3]));
	if (argc > 4 && !strcmp(what, "rate"))
		return rate(argv[2], atol(argv[3]), atof(argv[4]));
	if (argc > 3 && !strcmp(what, "cpu"))
		return cpu(argv[2], argv + 3);
	return 2;
}
