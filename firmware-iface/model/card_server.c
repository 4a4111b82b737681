/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include <model/card_server.h>

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <base/clock.h>
#include <base/error.h>
#include <base/parse.h>
#include <model/control.h>
#include <model/guest.h>
#include <model/ivshmem.h>

enum {
	POLLED_EACH = 1 + FW_DOORBELLS, /* socket and doorbells of a card */
	POLLED_CARDS = 1 + CONTROL_FDS, /* where those of cards begin */
	POLLED_MAX = POLLED_CARDS + SLUICE_SECTORS_MAX * POLLED_EACH,
};

/* How often the guest's memory is looked for. */
#define MEMORY_LOOK_NS (50 * NS_PER_MS)

struct slot {
	struct card_server *server;
	struct card *card;
	struct ivshmem iv;
	bool attached, left;
	uint64_t next_ns; /* when the card wants to be stepped */
	uint64_t copy_ns, copy_bytes;
	/* Of the time before the scan that runs: */
	struct card_report before;
	uint64_t copy_ns_before, copy_bytes_before;
};

struct card_server {
	struct card_server_args args;
	struct guest guest;
	bool guest_there;
	uint64_t guest_deadline_ns; /* UINT64_MAX: nobody has come yet */
	struct slot slot[SLUICE_SECTORS_MAX];
	unsigned int slots;
	struct control control;
	int stop_fd; /* readable from card_server_stop() on; never read */
};

static int host_read(void *ctx, uint64_t address, void *dst, size_t bytes)
{
	const struct slot *slot = ctx;

	return guest_read(&slot->server->guest, address, dst, bytes);
}

static int host_write(void *ctx, uint64_t address, const void *src, size_t bytes)
{
	struct slot *slot = ctx;
	const uint64_t before = now_ns();
	const int ret = guest_write(&slot->server->guest, address, src, bytes);

	slot->copy_ns += now_ns() - before;
	slot->copy_bytes += ret == 0 ? bytes : 0;
	return ret;
}

static void host_raise(void *ctx, enum fw_vector vector)
{
	const struct slot *slot = ctx;

	ivshmem_raise(&slot->iv, vector);
}

static const struct card_host_ops host_ops = {
	.read = host_read,
	.write = host_write,
	.raise = host_raise,
};

static int open_slot(struct card_server *server, const struct card_server_card *wanted,
		     struct sluice_error *reterr)
{
	struct slot *slot = &server->slot[server->slots];
	struct card_args args = wanted->card;
	int ret;

	*slot = (struct slot){ .server = server };
	ret = ivshmem_open(&slot->iv, wanted->path, reterr);
	if (ret < 0)
		return ret;
	args.host = &host_ops;
	args.host_ctx = slot;
	args.registers = slot->iv.registers;
	ret = card_create(&args, now_ns(), &slot->card);
	if (ret < 0) {
		ivshmem_close(&slot->iv);
		return error_set(reterr, ret, "%s: the card cannot be made: %s", wanted->path,
				 error_name(ret));
	}
	server->slots++;
	return 0;
}

static int report_line(const struct slot *slot, char *dst, size_t size)
{
	struct card_report r;

	card_report(slot->card, &r);
	return snprintf(
		dst, size,
		"{\"kind\":\"card\",\"sector\":%u,\"state\":%d,\"fault\":%d,\"scans\":%" PRIu64
		",\"blocks\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"completions\":%" PRIu64
		",\"interrupts\":%" PRIu64 ",\"descriptors\":%" PRIu64 ",\"copy_bytes\":%" PRIu64
		",\"copy_ns\":%" PRIu64 "}\n",
		r.sector, (int)r.state, (int)r.fault, r.scans, r.blocks, r.bytes, r.completions,
		r.interrupts, r.descriptors, slot->copy_bytes, slot->copy_ns);
}

/* Whether @text, a sector or nothing, means @slot. -EINVAL. */
static int means(const struct slot *slot, const char *text)
{
	struct card_report r;
	uint64_t sector;

	if (*text == '\0')
		return 1;
	if (parse_u64(text, 0, SLUICE_SECTORS_MAX - 1, &sector) < 0)
		return -EINVAL;
	card_report(slot->card, &r);
	return r.sector == sector;
}

static int obey_for(struct slot *slot, const char *verb, const char *what,
		    struct sluice_error *reterr)
{
	int ret;

	if (strcmp(verb, "fault") == 0)
		return card_fault(slot->card, what, reterr);
	ret = means(slot, what);
	if (ret < 0 || (strcmp(verb, "repair") != 0 && strcmp(verb, "remove") != 0))
		return error_set(reterr, -EINVAL,
				 "\"%s %s\"; allowed: fault [SECTOR/]KIND=WHAT, repair [SECTOR], "
				 "remove [SECTOR], report",
				 verb, what);
	if (ret == 1 && strcmp(verb, "repair") == 0)
		card_repair(slot->card, now_ns());
	else if (ret == 1)
		card_remove(slot->card);
	return 0;
}

static void obey(void *ctx, const char *line, char *answer, size_t size)
{
	struct card_server *server = ctx;
	struct sluice_error error = { "" };
	const char *what = strchr(line, ' ');
	char verb[16] = "";
	int ret = 0;
	size_t at = 0;

	if (!what)
		what = line + strlen(line);
	(void)snprintf(verb, sizeof(verb), "%.*s", (int)(what - line), line);
	what += *what == ' ';
	for (unsigned int i = 0; ret == 0 && i < server->slots; i++) {
		if (strcmp(line, "report") == 0 && at < size)
			at += (size_t)report_line(&server->slot[i], answer + at, size - at);
		else
			ret = obey_for(&server->slot[i], verb, what, &error);
	}
	if (at >= size)
		ret = error_set(&error, -ENOSPC, "report: longer than %d bytes",
				CONTROL_ANSWER_MAX);
	if (ret < 0)
		(void)snprintf(answer, size, "error %s", error.text);
	else
		(void)snprintf(answer + at, size - at, "ok");
}

int card_server_open(const struct card_server_args *args, struct card_server **ret_server,
		     struct sluice_error *reterr)
{
	struct card_server *server;
	int ret;

	if (args->card_count < 1 || args->card_count > SLUICE_SECTORS_MAX)
		return error_set(reterr, -EINVAL, "%u cards; allowed: 1 ... %d", args->card_count,
				 SLUICE_SECTORS_MAX);
	server = calloc(1, sizeof(*server));
	if (!server)
		return error_set(reterr, -ENOMEM, "no memory for a server");
	server->args = *args;
	server->args.cards = NULL;
	server->guest_deadline_ns = UINT64_MAX;
	server->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (server->stop_fd < 0) {
		ret = error_set(reterr, neg_errno(), "no event descriptor to be had");
		goto err_close;
	}
	ret = guest_init(&server->guest, args->memory, reterr);
	for (unsigned int i = 0; ret == 0 && i < args->card_count; i++)
		ret = open_slot(server, &args->cards[i], reterr);
	server->control.obey = obey;
	server->control.ctx = server;
	if (ret == 0 && args->control)
		ret = control_open(&server->control, args->control, reterr);
	if (ret < 0)
		goto err_close;
	*ret_server = server;
	return 0;

err_close:
	card_server_close(server);
	return ret;
}

void card_server_close(struct card_server *server)
{
	if (!server)
		return;
	for (unsigned int i = 0; i < server->slots; i++) {
		card_destroy(server->slot[i].card);
		ivshmem_close(&server->slot[i].iv);
	}
	control_close(&server->control);
	guest_fini(&server->guest);
	if (server->stop_fd >= 0)
		(void)close(server->stop_fd);
	free(server);
}

void card_server_stop(struct card_server *server)
{
	const uint64_t one = 1;
	const int errno_before = errno;

	/* Fails only where the counter is at its limit: readable, then, as it should be. */
	if (write(server->stop_fd, &one, sizeof(one)) < 0)
		errno = errno_before;
}

/* Looks for the guest's memory, once a guest is there. */
static int look_for_memory(struct card_server *server, struct sluice_error *reterr)
{
	int ret;

	if (server->guest_there || server->guest_deadline_ns == UINT64_MAX)
		return 0;
	ret = guest_map(&server->guest, reterr);
	server->guest_there = ret == 0;
	if (ret == -EAGAIN && ns_until(server->guest_deadline_ns) == 0)
		return error_set(reterr, -ETIMEDOUT, "%s: the guest's memory is not there",
				 server->guest.file[server->guest.mapped].path);
	return ret == -EAGAIN ? 0 : ret;
}

static void report_scan(struct slot *slot)
{
	struct card_server *server = slot->server;
	struct card_report r;

	card_report(slot->card, &r);
	if (r.scans == slot->before.scans)
		return;
	if (server->args.report) {
		const struct card_server_scan scan = {
			.sector = r.sector,
			.scan = r.scan,
			.frames = r.frames_wanted,
			.blocks = r.blocks - slot->before.blocks,
			.bytes = r.bytes - slot->before.bytes,
			.completions = r.completions - slot->before.completions,
			.interrupts = r.interrupts - slot->before.interrupts,
			.descriptors = r.descriptors - slot->before.descriptors,
			.ns = now_ns() - r.started_ns,
			.copy_ns = slot->copy_ns - slot->copy_ns_before,
			.copy_bytes = slot->copy_bytes - slot->copy_bytes_before,
			.state = r.state,
			.fault = r.fault,
		};

		server->args.report(server->args.ctx, &scan);
	}
	slot->before = r;
	slot->copy_ns_before = slot->copy_ns;
	slot->copy_bytes_before = slot->copy_bytes;
}

static void serve_slot(struct slot *slot)
{
	for (unsigned int i = 0; i < FW_DOORBELLS; i++)
		if (ivshmem_rung(&slot->iv, i))
			card_doorbell(slot->card, i, now_ns());
	slot->next_ns = card_step(slot->card, now_ns());
	report_scan(slot);
}

/* Takes a guest that comes, and sees one that goes. */
static int attend(struct slot *slot, struct sluice_error *reterr)
{
	struct card_server *server = slot->server;
	int ret;

	if (slot->attached) {
		slot->left = ivshmem_hung_up(&slot->iv);
		return 0;
	}
	ret = ivshmem_accept(&slot->iv, reterr);
	if (ret < 0)
		return ret == -EAGAIN ? 0 : ret;
	slot->attached = true;
	if (server->guest_deadline_ns == UINT64_MAX)
		server->guest_deadline_ns = now_ns() + CARD_MEMORY_TIMEOUT_NS;
	return 0;
}

static bool all_left(const struct card_server *server)
{
	bool any = false;

	for (unsigned int i = 0; i < server->slots; i++) {
		any |= server->slot[i].left;
		if (server->slot[i].attached && !server->slot[i].left)
			return false;
	}
	return any;
}

/* Waits until something is to be done. -ECANCELED: that is to stop. */
static int wait(struct card_server *server, struct pollfd *fds)
{
	uint64_t next_ns = UINT64_MAX, left_ns;
	struct timespec ts;
	unsigned int count = POLLED_CARDS;

	fds[0] = (struct pollfd){ .fd = server->stop_fd, .events = POLLIN };
	control_watch(&server->control, &fds[1]);
	if (!server->guest_there && server->guest_deadline_ns != UINT64_MAX)
		next_ns = now_ns() + MEMORY_LOOK_NS;
	for (unsigned int i = 0; i < server->slots; i++) {
		const struct slot *slot = &server->slot[i];
		const int fd = slot->attached ? slot->iv.guest_fd : slot->iv.listener.fd;

		/* A negative descriptor is not looked at. */
		fds[count++] = (struct pollfd){ .fd = slot->left ? -1 : fd, .events = POLLIN };
		for (unsigned int d = 0; d < FW_DOORBELLS; d++)
			fds[count++] = (struct pollfd){ .fd = slot->left ? -1
									 : slot->iv.doorbell_fd[d],
							.events = POLLIN };
		if (slot->attached && !slot->left && slot->next_ns < next_ns)
			next_ns = slot->next_ns;
	}
	left_ns = next_ns == UINT64_MAX ? 0 : ns_until(next_ns);
	ts = (struct timespec){ .tv_sec = (time_t)(left_ns / NS_PER_S),
				.tv_nsec = (long)(left_ns % NS_PER_S) };
	if (ppoll(fds, count, next_ns == UINT64_MAX ? NULL : &ts, NULL) < 0)
		return errno == EINTR ? -EAGAIN : neg_errno();
	return fds[0].revents != 0 ? -ECANCELED : 0;
}

int card_server_run(struct card_server *server, struct sluice_error *reterr)
{
	struct pollfd fds[POLLED_MAX];
	int ret = 0;

	while (ret == 0 && !all_left(server)) {
		ret = wait(server, fds);
		if (ret == -EAGAIN) {
			ret = 0;
			continue;
		}
		if (ret < 0)
			break;
		control_attend(&server->control, &fds[1]);
		ret = look_for_memory(server, reterr);
		for (unsigned int i = 0; ret == 0 && i < server->slots; i++) {
			struct slot *slot = &server->slot[i];

			if (fds[POLLED_CARDS + i * POLLED_EACH].revents != 0)
				ret = attend(slot, reterr);
			if (slot->attached && !slot->left)
				serve_slot(slot);
		}
	}
	return ret == -ECANCELED ? 0 : ret;
}
