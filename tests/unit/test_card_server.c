/* SPDX-License-Identifier: MIT */
/* model/card_server.h and ivshmem.h: a guest that is played by the test, over the real socket. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <base/clock.h>
#include <base/error.h>
#include <firmware-iface/dma.h>
#include <model/card_server.h>
#include <model/ivshmem.h>

enum {
	CARDS = 2,
	MEMORY = 1 << 20,
	DESCRIPTORS = 0,
	COMPLETIONS = 4096,
	DATA = 65536,
	FRAMES = 5,
	BLOCK = SLUICE_BLOCK_HEADER_BYTES + 4 * 8 * 2,
	WAIT_MS = 10000,
};

/* What QEMU has of a card. */
struct guest_card {
	int fd;
	int64_t id;
	uint8_t *registers;
	int doorbell[FW_DOORBELLS];
	int vector[FW_VECTORS];
	uint16_t sequence;
};

static char folder[32];
static char path[CARDS][16];
static char memory_path[16];
static struct model *model;
static struct card_server_card cards[CARDS];
static struct card_server_args args;
static struct card_server *server;
static struct sluice_error run_error;
static struct card_server_scan last_scan;
static unsigned int scans;
static pthread_t thread;
static uint8_t *memory;

static void on_scan(void *ctx, const struct card_server_scan *scan)
{
	(void)ctx;
	last_scan = *scan;
	scans++;
}

static int set_up(void **state)
{
	const struct model_args model_args = {
		.geometry = { .sectors = CARDS,
			      .rows = 4,
			      .columns = 8,
			      .pixel = SLUICE_PIXEL_U16 },
		.distinct = 2,
		.sectors_served = 3,
	};

	(void)state;
	strcpy(folder, "/tmp/sluice-card-XXXXXX");
	strcpy(memory_path, "ram");
	scans = 0;
	memory = NULL;
	if (!mkdtemp(folder) || chdir(folder) < 0 || model_create(&model_args, &model, NULL) < 0)
		return -1;
	for (unsigned int s = 0; s < CARDS; s++) {
		(void)snprintf(path[s], sizeof(path[s]), "card%u", s);
		cards[s] = (struct card_server_card){
			.card = { .source = { model },
				  .desc_max = 16,
				  .completion_max = 16,
				  .chain_max = 16,
				  .buffer_blocks = 8,
				  .sector = (uint16_t)s },
			.path = path[s],
		};
	}
	args = (struct card_server_args){
		.cards = cards, .card_count = CARDS, .memory = memory_path, .report = on_scan
	};
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	model_destroy(model);
	if (memory)
		(void)munmap(memory, MEMORY);
	(void)unlink("ram");
	/* Fails where a socket was left behind. */
	return chdir("/") == 0 ? rmdir(folder) : -1;
}

static void *run(void *arg)
{
	(void)arg;
	return (void *)(intptr_t)card_server_run(server, &run_error);
}

static void start(void)
{
	assert_int_equal(card_server_open(&args, &server, NULL), 0);
	assert_int_equal(pthread_create(&thread, NULL, run, NULL), 0);
}

static int end(void)
{
	void *ret;

	(void)pthread_join(thread, &ret);
	card_server_close(server);
	return (int)(intptr_t)ret;
}

static void make_memory(void)
{
	const int fd = open("ram", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	void *map;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, MEMORY), 0);
	map = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(map != MAP_FAILED);
	memory = map;
	(void)close(fd);
}

static int connect_to(const char *where)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", where);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* One number, and the descriptor that comes with it, or -1. */
static int64_t hear(int fd, int *ret_fd)
{
	struct sluice_le64 word;
	struct iovec piece = { &word, sizeof(word) };
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} space;
	struct msghdr message = { .msg_iov = &piece,
				  .msg_iovlen = 1,
				  .msg_control = space.bytes,
				  .msg_controllen = sizeof(space.bytes) };
	struct pollfd p = { .fd = fd, .events = POLLIN };
	const struct cmsghdr *c;

	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
	assert_int_equal(recvmsg(fd, &message, MSG_CMSG_CLOEXEC), sizeof(word));
	*ret_fd = -1;
	c = CMSG_FIRSTHDR(&message);
	if (c)
		memcpy(ret_fd, CMSG_DATA(c), sizeof(*ret_fd));
	return (int64_t)sluice_u64(word);
}

/* As QEMU does, and as strict. */
static void attach(struct guest_card *g, const char *where)
{
	struct stat st;
	void *map;
	int fd;

	memset(g, 0, sizeof(*g));
	g->fd = connect_to(where);
	assert_int_equal(hear(g->fd, &fd), 0); /* version of the protocol */
	assert_int_equal(fd, -1);
	g->id = hear(g->fd, &fd);
	assert_in_range(g->id, 1, UINT16_MAX);
	assert_int_equal(fd, -1);
	assert_int_equal(hear(g->fd, &fd), -1);
	assert_int_equal(fstat(fd, &st), 0);
	/* A BAR is a power of two. */
	assert_int_equal(st.st_size, FW_REGISTERS_BYTES);
	map = mmap(NULL, FW_REGISTERS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(map != MAP_FAILED);
	g->registers = map;
	(void)close(fd);
	for (unsigned int i = 0; i < FW_DOORBELLS; i++)
		assert_int_equal(hear(g->fd, &g->doorbell[i]), 0);
	for (unsigned int i = 0; i < FW_VECTORS; i++)
		assert_int_equal(hear(g->fd, &g->vector[i]), g->id);
}

static void detach(struct guest_card *g)
{
	(void)munmap(g->registers, FW_REGISTERS_BYTES);
	for (unsigned int i = 0; i < FW_DOORBELLS; i++)
		(void)close(g->doorbell[i]);
	for (unsigned int i = 0; i < FW_VECTORS; i++)
		(void)close(g->vector[i]);
	(void)close(g->fd);
}

static uint32_t get(const struct guest_card *g, uint32_t offset)
{
	return le32toh(__atomic_load_n((uint32_t *)(g->registers + offset), __ATOMIC_ACQUIRE));
}

static void set(struct guest_card *g, uint32_t offset, uint32_t value)
{
	__atomic_store_n((uint32_t *)(g->registers + offset), htole32(value), __ATOMIC_RELEASE);
}

static void set64(struct guest_card *g, uint32_t offset, uint64_t value)
{
	__atomic_store_n((uint64_t *)(g->registers + offset), htole64(value), __ATOMIC_RELEASE);
}

static void ring(const struct guest_card *g, unsigned int doorbell)
{
	const uint64_t one = 1;

	assert_int_equal(write(g->doorbell[doorbell], &one, sizeof(one)), sizeof(one));
}

static void wait_interrupt(const struct guest_card *g, enum fw_vector vector)
{
	struct pollfd p = { .fd = g->vector[vector], .events = POLLIN };
	uint64_t count;

	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
	assert_int_equal(read(g->vector[vector], &count, sizeof(count)), sizeof(count));
}

static uint32_t command(struct guest_card *g, enum fw_command what)
{
	g->sequence++;
	set(g, FW_COMMAND, (uint32_t)g->sequence << 16 | what);
	ring(g, FW_DOORBELL_COMMAND);
	do
		wait_interrupt(g, FW_VECTOR_EVENT);
	while (get(g, FW_ANSWER) >> 16 != g->sequence);
	return get(g, FW_ANSWER) & 0xffff;
}

static void prepare(struct guest_card *g, uint64_t at)
{
	const struct fw_desc desc = {
		.address = sluice_le64(at + DATA),
		.bytes = sluice_le32(FRAMES * BLOCK),
		.control = sluice_le32(FW_DESC_LAST),
	};

	memset(memory + at + COMPLETIONS, 0, 4 * sizeof(struct fw_completion));
	memcpy(memory + at + DESCRIPTORS, &desc, sizeof(desc));
	set(g, FW_SCAN, 3);
	set(g, FW_SCAN_COLUMNS, 5);
	set(g, FW_SCAN_ROWS, 1);
	set64(g, FW_FRAMES, FRAMES);
	set64(g, FW_DESC_ADDRESS, at + DESCRIPTORS);
	set(g, FW_DESC_ENTRIES, 4);
	set64(g, FW_COMPLETION_ADDRESS, at + COMPLETIONS);
	set(g, FW_COMPLETION_ENTRIES, 4);
	set(g, FW_INTERRUPT_MODE, FW_INTERRUPT_ON);
	set(g, FW_COALESCE_COUNT, 1);
}

/* A scan of one chunk. */
static void scan(struct guest_card *g, uint64_t at, uint16_t sector)
{
	struct fw_completion c;

	prepare(g, at);
	assert_int_equal(command(g, FW_COMMAND_ARM), FW_ANSWER_DONE);
	assert_int_equal(command(g, FW_COMMAND_RUN), FW_ANSWER_DONE);
	set(g, FW_DESC_TAIL, 1);
	ring(g, FW_DOORBELL_DESCRIPTOR);
	/* An interrupt may be left from what came before. */
	do {
		wait_interrupt(g, FW_VECTOR_COMPLETION);
		memcpy(&c, memory + at + COMPLETIONS, sizeof(c));
	} while (sluice_u32(c.generation) == 0);
	assert_int_equal(sluice_u32(c.generation), 1);
	assert_int_equal(sluice_u16(c.status), FW_STATUS_END);
	assert_int_equal(sluice_u32(c.blocks), FRAMES);
	for (unsigned int f = 0; f < FRAMES; f++) {
		struct sluice_block_header h;

		memcpy(&h, memory + at + DATA + (size_t)f * BLOCK, sizeof(h));
		assert_int_equal(sluice_u64(h.frame), f);
		assert_int_equal(sluice_u16(h.sector), sector);
	}
}

static void a_guest_runs_scans_on_two_cards(void **state)
{
	struct guest_card g[CARDS];

	(void)state;
	make_memory();
	start();
	for (unsigned int s = 0; s < CARDS; s++) {
		attach(&g[s], path[s]);
		assert_int_equal(get(&g[s], FW_MAGIC), FW_MAGIC_VALUE);
		assert_int_equal(get(&g[s], FW_SECTOR), s);
	}
	for (unsigned int round = 0; round < 3; round++)
		for (unsigned int s = 0; s < CARDS; s++)
			scan(&g[s], s * (MEMORY / CARDS), (uint16_t)s);
	/* The program ends with its last guest. */
	for (unsigned int s = 0; s < CARDS; s++)
		detach(&g[s]);
	assert_int_equal(end(), 0);
	assert_int_equal(scans, 3 * CARDS);
	assert_int_equal(last_scan.blocks, FRAMES);
	assert_int_equal(last_scan.bytes, FRAMES * BLOCK);
	assert_int_equal(last_scan.completions, 1);
	assert_int_equal(last_scan.descriptors, 1);
	assert_int_equal(last_scan.copy_bytes, FRAMES * BLOCK + sizeof(struct fw_completion));
	assert_true(last_scan.copy_ns > 0);
}

/* A guest makes its memory at start: the card is there before, and refuses until then. */
static void memory_may_come_after_the_guest(void **state)
{
	const uint64_t deadline_ns = now_ns() + WAIT_MS * NS_PER_MS;
	struct guest_card g;
	uint32_t answer;

	(void)state;
	start();
	attach(&g, path[0]);
	assert_int_equal(command(&g, FW_COMMAND_RESET), FW_ANSWER_DONE);
	make_memory();
	/* Until the card has seen it, its DMA is refused. */
	do {
		prepare(&g, 0);
		answer = command(&g, FW_COMMAND_ARM);
		set(&g, FW_DESC_TAIL, 1);
		ring(&g, FW_DOORBELL_DESCRIPTOR);
		assert_int_equal(command(&g, FW_COMMAND_RUN), FW_ANSWER_DONE);
		while (get(&g, FW_STATE) == FW_STATE_RUNNING)
			wait_interrupt(&g, FW_VECTOR_EVENT);
		assert_int_equal(answer, FW_ANSWER_DONE);
		answer = get(&g, FW_STATE);
		assert_int_equal(command(&g, FW_COMMAND_RESET), FW_ANSWER_DONE);
	} while (answer != FW_STATE_IDLE && ns_until(deadline_ns) > 0);
	scan(&g, 0, 0);
	detach(&g);
	assert_int_equal(end(), 0);
}

static void the_stop_ends_all(void **state)
{
	struct guest_card g;

	(void)state;
	make_memory();
	start();
	attach(&g, path[1]);
	card_server_stop(server);
	assert_int_equal(end(), 0);
	detach(&g);
}

/* The next one waits in the socket's queue, for ever: a card has one guest. */
static void a_card_has_one_guest(void **state)
{
	struct guest_card g;
	struct pollfd p = { .events = POLLIN };

	(void)state;
	make_memory();
	start();
	attach(&g, path[0]);
	p.fd = connect_to(path[0]);
	scan(&g, 0, 0);
	assert_int_equal(poll(&p, 1, 0), 0);
	detach(&g);
	assert_int_equal(end(), 0);
	(void)close(p.fd);
}

/* Sends @order on its own connection; the answer's first bytes are @want. */
static void order(int fd, const char *line, const char *want)
{
	char answer[4096] = "";
	struct pollfd p = { .fd = fd, .events = POLLIN };

	assert_int_equal(send(fd, line, strlen(line), MSG_NOSIGNAL), strlen(line));
	assert_int_equal(send(fd, "\n", 1, MSG_NOSIGNAL), 1);
	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
	assert_true(recv(fd, answer, sizeof(answer) - 1, 0) > 0);
	if (strncmp(answer, want, strlen(want)) != 0)
		fail_msg("%s: %s", line, answer);
}

static void faults_are_ordered_while_cards_run(void **state)
{
	struct guest_card g[CARDS];
	int fd;

	(void)state;
	make_memory();
	args.control = "control";
	start();
	for (unsigned int s = 0; s < CARDS; s++)
		attach(&g[s], path[s]);
	fd = connect_to("control");
	order(fd, "report", "{\"kind\":\"card\",\"sector\":0,");
	order(fd, "remove 1", "ok\n");
	assert_int_equal(get(&g[0], FW_MAGIC), FW_MAGIC_VALUE);
	assert_int_equal(get(&g[1], FW_MAGIC), FW_GONE_32);
	order(fd, "repair 0", "ok\n");
	assert_int_equal(get(&g[1], FW_MAGIC), FW_GONE_32);
	order(fd, "repair", "ok\n");
	assert_int_equal(get(&g[1], FW_MAGIC), FW_MAGIC_VALUE);
	scan(&g[1], 0, 1);
	order(fd, "fault 1/internal=0", "ok\n");
	scan(&g[0], 0, 0);
	prepare(&g[1], 0);
	assert_int_equal(command(&g[1], FW_COMMAND_ARM), FW_ANSWER_DONE);
	set(&g[1], FW_DESC_TAIL, 1);
	assert_int_equal(command(&g[1], FW_COMMAND_RUN), FW_ANSWER_DONE);
	while (get(&g[1], FW_STATE) == FW_STATE_RUNNING)
		wait_interrupt(&g[1], FW_VECTOR_EVENT);
	assert_int_equal(get(&g[1], FW_FAULT), FW_FAULT_INTERNAL);
	/* What cannot be is said, and changes nothing. */
	order(fd, "fault cut=1", "error");
	order(fd, "fault nothing=1", "error");
	order(fd, "fault", "error");
	order(fd, "remove x", "error");
	order(fd, "remove 32", "error");
	order(fd, "a verb that is longer than any", "error");
	order(fd, "reports", "error");
	(void)close(fd);
	for (unsigned int s = 0; s < CARDS; s++)
		detach(&g[s]);
	assert_int_equal(end(), 0);
}

static void what_cannot_be_opened_is_named(void **state)
{
	struct card_server *none = NULL;
	struct sluice_error error = { "" };

	(void)state;
	args.card_count = 0;
	assert_int_equal(card_server_open(&args, &none, &error), -EINVAL);
	args.card_count = CARDS;
	cards[1].path = "no/such/folder/card";
	assert_int_equal(card_server_open(&args, &none, &error), -ENOENT);
	assert_non_null(strstr(error.text, cards[1].path));
	cards[1].path = path[1];
	cards[1].card.buffer_blocks = 0;
	assert_int_equal(card_server_open(&args, &none, &error), -EINVAL);
	cards[1].card.buffer_blocks = 8;
	args.control = path[0]; /* is that of a card */
	assert_int_equal(card_server_open(&args, &none, &error), -EADDRINUSE);
	assert_null(none);
	card_server_close(NULL);
}

#define in_a_folder(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_a_folder(a_guest_runs_scans_on_two_cards),
		in_a_folder(memory_may_come_after_the_guest),
		in_a_folder(the_stop_ends_all),
		in_a_folder(a_card_has_one_guest),
		in_a_folder(faults_are_ordered_while_cards_run),
		in_a_folder(what_cannot_be_opened_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
