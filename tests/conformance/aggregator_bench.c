/* SPDX-License-Identifier: MIT */
#include "aggregator_bench.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <base/clock.h>
#include <sluice/error.h>

atomic_int bench_full, bench_broken;
struct aggregator *_Atomic bench_reluctant;
atomic_bool bench_frozen;
atomic_bool bench_keeping;
void *bench_kept[KEPT_MAX];
atomic_uint bench_kept_count;

/* NOLINTBEGIN(bugprone-reserved-identifier,readability-function-size): the linker's --wrap makes
 * these names, and link.h their parameters */
int __real_link_forward(struct link_sender *sender, struct link_message *message, void *cookie);
int __wrap_link_forward(struct link_sender *sender, struct link_message *message, void *cookie);
int __wrap_link_ack(struct link_receiver *receiver, unsigned int peer, uint32_t scan,
		    const struct sluice_wire_ack *ack, unsigned int acks,
		    const struct sluice_wire_reject *reject, unsigned int rejects);
int __wrap_link_nack(struct link_receiver *receiver, unsigned int peer, uint32_t scan,
		     const struct sluice_wire_nack *nack, unsigned int nacks);

int __wrap_link_forward(struct link_sender *sender, struct link_message *message, void *cookie)
{
	const struct aggregator *a = atomic_load(&bench_reluctant);
	int ret;

	while (atomic_load(&bench_frozen))
		(void)poll(NULL, 0, 1);
	if (a && message->part == 1 && atomic_load(&a->stats.chunks) < 3)
		return -EAGAIN;
	if (!atomic_load(&bench_keeping))
		return __real_link_forward(sender, message, cookie);
	ret = __real_link_forward(sender, message, NULL);
	if (ret == 0) {
		assert_true(atomic_load(&bench_kept_count) < KEPT_MAX);
		bench_kept[atomic_load(&bench_kept_count)] = cookie;
		(void)atomic_fetch_add(&bench_kept_count, 1);
	}
	return ret;
}

int __wrap_link_ack(struct link_receiver *receiver, unsigned int peer, uint32_t scan,
		    const struct sluice_wire_ack *ack, unsigned int acks,
		    const struct sluice_wire_reject *reject, unsigned int rejects)
{
	if (atomic_fetch_sub(&bench_full, 1) > 0)
		return -EAGAIN;
	if (atomic_fetch_sub(&bench_broken, 1) > 0)
		return -ENOTCONN;
	return __real_link_ack(receiver, peer, scan, ack, acks, reject, rejects);
}

int __wrap_link_nack(struct link_receiver *receiver, unsigned int peer, uint32_t scan,
		     const struct sluice_wire_nack *nack, unsigned int nacks)
{
	if (atomic_fetch_sub(&bench_full, 1) > 0)
		return -EAGAIN;
	if (atomic_fetch_sub(&bench_broken, 1) > 0)
		return -ENOTCONN;
	return __real_link_nack(receiver, peer, scan, nack, nacks);
}
/* NOLINTEND(bugprone-reserved-identifier,readability-function-size) */

const uint8_t bench_pixels[RUN_FRAMES * PART_BYTES] = { 1, 2, 3 };

int bench_begin(struct aggregator *a, void *arg, struct sluice_error *reterr)
{
	const struct scan_plan *plan = arg;

	for (unsigned int i = 0; i < plan->consumer_count; i++) {
		const struct plan_member *m = &plan->consumer[i];

		const int ret = consumer_add(a, plan->group, m->id, m->endpoint, reterr);

		if (ret < 0)
			return ret;
	}
	*a->plan = *plan;
	route_begin(a);
	a->active = true;
	return 0;
}

void bench_open_source(struct bench *b, unsigned int sector)
{
	char name[16];

	(void)snprintf(name, sizeof(name), "board-%u", sector);
	(void)snprintf(b->net->endpoint, sizeof(b->net->endpoint), "%s",
		       link_receiver_endpoint(b->aggregator->receiver));
	b->source[sector] = net_sender(b->net, name, (uint16_t)sector);
	net_expect_event(b->net, b->source[sector], LINK_EVENT_UP);
}

void bench_add_consumer(struct bench *b, uint32_t window)
{
	struct plan_member *m = &b->plan.consumer[b->plan.consumer_count++];

	b->consumer[b->consumers] = net_receiver(b->net, "tcp://127.0.0.1:*", window);
	(void)snprintf(m->id, sizeof(m->id), "node%u", b->consumers++);
	(void)snprintf(m->endpoint, sizeof(m->endpoint), "%s", b->net->endpoint);
}

void bench_open(struct bench *b, unsigned int sectors, uint32_t window, const int *windows)
{
	const struct aggregator_args args = { .id = "aggregator-0",
					      .transport = "zmq",
					      .bind = "tcp://127.0.0.1:*",
					      .window = window,
					      .payload_max = 1 << 20,
					      .io_threads = 1 };

	memset(b, 0, sizeof(*b));
	atomic_store(&bench_full, 0);
	atomic_store(&bench_broken, 0);
	atomic_store(&bench_reluctant, NULL);
	atomic_store(&bench_frozen, false);
	atomic_store(&bench_keeping, false);
	atomic_store(&bench_kept_count, 0);
	b->net_state = (void *)"zmq";
	assert_int_equal(net_setup(&b->net_state), 0);
	b->net = b->net_state;
	assert_int_equal(aggregator_open(&args, &b->aggregator, NULL), 0);
	b->plan = (struct scan_plan){ .scan = SCAN,
				      .epoch = EPOCH,
				      .scan_columns = RUNS * RUN_FRAMES,
				      .scan_rows = 1,
				      .frames_per_position = 1,
				      .frames_expected = RUNS * RUN_FRAMES,
				      .run_frames = RUN_FRAMES,
				      .geometry = { .sectors = (uint16_t)sectors,
						    .rows = 4,
						    .columns = 8,
						    .pixel = SLUICE_PIXEL_U16 },
				      .group = "counting",
				      .aggregator_count = 1 };
	while (*windows >= 0)
		bench_add_consumer(b, (uint32_t)*windows++);
	assert_int_equal(aggregator_call(b->aggregator, bench_begin, &b->plan, NULL), 0);
	for (unsigned int i = 0; i < b->consumers; i++) {
		net_expect_message(b->net, b->consumer[i], LINK_MESSAGE_PEER_UP);
		net_expect_message(b->net, b->consumer[i], LINK_MESSAGE_SCAN_BEGIN);
	}
	for (unsigned int s = 0; s < sectors; s++)
		bench_open_source(b, s);
}

void bench_close(struct bench *b)
{
	aggregator_close(b->aggregator);
	assert_int_equal(net_teardown(&b->net_state), 0);
}

int bench_try_send(struct bench *b, unsigned int sector, uint64_t run, uint16_t part,
		   uint16_t flags)
{
	const struct sluice_wire_block table = {
		.frame = sluice_le64(run * RUN_FRAMES + part),
	};
	const struct link_chunk chunk = { .scan = SCAN,
					  .epoch = EPOCH,
					  .run = run,
					  .sector = (uint16_t)sector,
					  .part = part,
					  .flags = flags,
					  .block_count = 1,
					  .table = &table,
					  .payload = bench_pixels,
					  .payload_bytes = PART_BYTES };

	return link_send(b->source[sector]->sender, &chunk);
}

void bench_send(struct bench *b, unsigned int sector, uint64_t run)
{
	const uint64_t deadline_ns = now_ns() + NET_DEADLINE_NS;
	int ret;

	while ((ret = bench_try_send(b, sector, run, 0, SLUICE_WIRE_LAST_PART)) == -EAGAIN) {
		assert_true(now_ns() < deadline_ns);
		net_turn(b->net);
	}
	assert_int_equal(ret, 0);
}

void bench_expect_chunk(struct bench *b, unsigned int i, uint64_t run, unsigned int sector)
{
	struct link_message m;

	net_message(b->net, b->consumer[i], &m);
	assert_int_equal(m.type, LINK_MESSAGE_CHUNK);
	assert_int_equal(m.run, run);
	assert_int_equal(m.sector, sector);
	assert_int_equal(m.epoch, EPOCH);
	assert_int_equal(m.payload_bytes, PART_BYTES);
	assert_memory_equal(m.payload, bench_pixels, PART_BYTES);
	link_message_release(&m);
}

void bench_expect_pair(struct bench *b, unsigned int i, uint64_t run)
{
	unsigned int sectors = 0;
	struct link_message m;

	for (unsigned int n = 0; n < 2; n++) {
		net_message(b->net, b->consumer[i], &m);
		assert_int_equal(m.type, LINK_MESSAGE_CHUNK);
		assert_int_equal(m.run, run);
		sectors |= 1u << m.sector;
		link_message_release(&m);
	}
	assert_int_equal(sectors, 3);
}

void bench_gather(struct bench *b, unsigned int count, unsigned int *ret_chunks)
{
	const uint64_t deadline_ns = now_ns() + NET_DEADLINE_NS;
	unsigned int found;

	do {
		assert_true(now_ns() < deadline_ns);
		net_turn(b->net);
		found = 0;
		for (unsigned int i = 0; i < b->consumers; i++)
			found += ret_chunks[i] = b->consumer[i]->count;
	} while (found < count);
	assert_int_equal(found, count);
}

void bench_drop_kept(struct bench *b, unsigned int i)
{
	struct link_message m;

	while (b->consumer[i]->count > 0) {
		net_message(b->net, b->consumer[i], &m);
		link_message_release(&m);
	}
}

void bench_source_event(struct bench *b, unsigned int sector, struct net_event *ret_event)
{
	net_event(b->net, b->source[sector], ret_event);
	while (ret_event->event.type == LINK_EVENT_CREDIT)
		net_event(b->net, b->source[sector], ret_event);
}

void bench_expect_nack(struct bench *b, unsigned int sector, uint64_t run)
{
	struct net_event e;

	bench_source_event(b, sector, &e);
	assert_int_equal(e.event.type, LINK_EVENT_NACK);
	assert_int_equal(e.event.scan, SCAN);
	assert_int_equal(e.event.nacks, 1);
	assert_int_equal(sluice_u64(e.event.nack[0].run_first), run);
	assert_int_equal(sluice_u32(e.event.nack[0].run_count), 1);
	assert_int_equal(sluice_u16(e.event.nack[0].sector), sector);
	net_event_release(&e);
}

struct sluice_wire_ack bench_ack_of(uint64_t run, unsigned int sector)
{
	return (struct sluice_wire_ack){ .run_first = sluice_le64(run),
					 .run_count = sluice_le32(1),
					 .sector = sluice_le16((uint16_t)sector) };
}

void bench_await(struct bench *b, const _Atomic uint64_t *counter, uint64_t value)
{
	const uint64_t deadline_ns = now_ns() + NET_DEADLINE_NS;

	while (atomic_load(counter) != value) {
		assert_true(now_ns() < deadline_ns);
		net_turn(b->net);
	}
}
