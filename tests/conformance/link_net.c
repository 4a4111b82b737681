/* SPDX-License-Identifier: MIT */
#include "link_net.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sluice/error.h>

enum {
	TURN_MS = 20,
	SCAN = 7,
	EPOCH = 3,
};

int net_setup(void **state)
{
	struct net *net = calloc(1, sizeof(*net));

	if (!net)
		return -1;
	net->transport = *state;
	*state = net;
	return 0;
}

int net_teardown(void **state)
{
	struct net *net = *state;

	for (unsigned int i = 0; i < NET_ENDS_MAX; i++)
		net_close(&net->ends[i]);
	while (net->dropped_count > 0)
		free(net->dropped[--net->dropped_count]);
	free(net);
	return 0;
}

static struct net_end *free_end(struct net *net)
{
	for (unsigned int i = 0; i < NET_ENDS_MAX; i++) {
		if (!net->ends[i].sender && !net->ends[i].receiver)
			return &net->ends[i];
	}
	fail_msg("more than %d ends", NET_ENDS_MAX);
	return NULL;
}

struct net_end *net_receiver(struct net *net, const char *bind, uint32_t window)
{
	struct net_end *end = free_end(net);
	struct sluice_error error = { 0 };
	const struct link_receiver_args args = {
		.transport = net->transport,
		.bind = bind,
		.name = "aggregator-0",
		.role = SLUICE_WIRE_AGGREGATOR,
		.window = window,
		.payload_max = NET_PAYLOAD_MAX,
		.io_threads = 1,
	};

	if (link_receiver_open(&args, &end->receiver, &error) < 0)
		fail_msg("%s", error.text);
	(void)snprintf(net->endpoint, sizeof(net->endpoint), "%s",
		       link_receiver_endpoint(end->receiver));
	return end;
}

static void count_released(void *ctx, void *cookie)
{
	struct net_end *end = ctx;

	atomic_store(&end->released_cookie, cookie);
	atomic_fetch_add(&end->released, 1);
}

struct net_end *net_sender(struct net *net, const char *name, uint16_t sector)
{
	struct net_end *end = free_end(net);
	struct sluice_error error = { 0 };
	const struct link_sender_args args = {
		.transport = net->transport,
		.endpoint = net->endpoint,
		.name = name,
		.role = SLUICE_WIRE_SOURCE,
		.sector = sector,
		.io_threads = 1,
		.released = count_released,
		.ctx = end,
	};

	atomic_store(&end->released, 0);
	if (link_sender_open(&args, &end->sender, &error) < 0)
		fail_msg("%s", error.text);
	return end;
}

void net_close(struct net_end *end)
{
	for (; end->count > 0; end->count--) {
		if (end->receiver)
			link_message_release(&end->messages[end->first]);
		else
			net_event_release(&end->events[end->first]);
		end->first = (end->first + 1) % NET_KEPT_MAX;
	}
	link_receiver_close(end->receiver);
	link_sender_close(end->sender);
	end->receiver = NULL;
	end->sender = NULL;
	end->idle = false;
}

void net_pair(struct net *net, uint32_t window, struct net_end **ret_receiver,
	      struct net_end **ret_sender)
{
	*ret_receiver = net_receiver(net, "tcp://127.0.0.1:*", window);
	*ret_sender = net_sender(net, "board-0", 0);
	net_expect_message(net, *ret_receiver, LINK_MESSAGE_PEER_UP);
	net_expect_event(net, *ret_sender, LINK_EVENT_UP);
}

static void *copy_entries(const void *entries, size_t bytes)
{
	void *copy = malloc(bytes);

	assert_non_null(copy);
	memcpy(copy, entries, bytes);
	return copy;
}

/* The entries of an ack, accepted and rejected, stand behind one another. */
static void keep_event(struct net_event *kept, const struct link_event *event)
{
	kept->event = *event;
	kept->entries = NULL;
	if (event->type == LINK_EVENT_ACK) {
		const size_t acks = event->acks * sizeof(*event->ack);
		const size_t rejects = event->rejects * sizeof(*event->reject);

		kept->entries = malloc(acks + rejects);
		assert_non_null(kept->entries);
		memcpy(kept->entries, event->ack, acks);
		memcpy((char *)kept->entries + acks, event->reject, rejects);
		kept->event.ack = kept->entries;
		kept->event.reject = (const void *)((const char *)kept->entries + acks);
	} else if (event->type == LINK_EVENT_NACK) {
		kept->entries = copy_entries(event->nack, event->nacks * sizeof(*event->nack));
		kept->event.nack = kept->entries;
	}
}

static void drain_end(struct net_end *end)
{
	while (end->count < NET_KEPT_MAX) {
		const unsigned int last = (end->first + end->count) % NET_KEPT_MAX;
		int ret;

		if (end->receiver) {
			ret = link_receive(end->receiver, &end->messages[last]);
		} else {
			struct link_event event;

			ret = link_sender_next(end->sender, &event);
			if (ret == 0)
				keep_event(&end->events[last], &event);
		}
		if (ret == -EAGAIN)
			return;
		assert_int_equal(ret, 0);
		end->count++;
	}
	fail_msg("more than %d things came that were not asked for", NET_KEPT_MAX);
}

void net_turn(struct net *net)
{
	struct link_pollitem items[NET_ENDS_MAX];
	unsigned int count = 0;

	for (unsigned int i = 0; i < NET_ENDS_MAX; i++) {
		struct net_end *end = &net->ends[i];

		if (end->idle || (!end->sender && !end->receiver))
			continue;
		items[count++] = (struct link_pollitem){ .sender = end->sender,
							 .receiver = end->receiver };
	}
	assert_true(link_poll(items, count, TURN_MS * NS_PER_MS) >= 0);
	for (unsigned int i = 0; i < NET_ENDS_MAX; i++) {
		struct net_end *end = &net->ends[i];

		if (!end->idle && (end->sender || end->receiver))
			drain_end(end);
	}
}

void net_pass(struct net *net, uint64_t ns)
{
	const uint64_t until_ns = now_ns() + ns;

	while (now_ns() < until_ns)
		net_turn(net);
}

static unsigned int await(struct net *net, struct net_end *end)
{
	const uint64_t deadline_ns = now_ns() + NET_DEADLINE_NS;
	unsigned int first;

	while (end->count == 0) {
		if (now_ns() > deadline_ns)
			fail_msg("nothing came before the deadline");
		net_turn(net);
	}
	first = end->first;
	end->first = (first + 1) % NET_KEPT_MAX;
	end->count--;
	return first;
}

void net_message(struct net *net, struct net_end *end, struct link_message *ret_message)
{
	link_message_move(ret_message, &end->messages[await(net, end)]);
}

void net_event(struct net *net, struct net_end *end, struct net_event *ret_event)
{
	*ret_event = end->events[await(net, end)];
}

void net_expect_message(struct net *net, struct net_end *end, enum link_message_type type)
{
	struct link_message message;

	net_message(net, end, &message);
	assert_int_equal(message.type, type);
	link_message_release(&message);
}

void net_expect_event(struct net *net, struct net_end *end, enum link_event_type type)
{
	struct net_event event;

	net_event(net, end, &event);
	assert_int_equal(event.event.type, type);
	net_event_release(&event);
}

void net_event_release(struct net_event *event)
{
	free(event->entries);
	event->entries = NULL;
}

void net_send(struct net *net, struct net_end *end, const struct link_chunk *chunk)
{
	const uint64_t deadline_ns = now_ns() + NET_DEADLINE_NS;
	int ret;

	while ((ret = link_send(end->sender, chunk)) == -EAGAIN) {
		if (now_ns() > deadline_ns)
			fail_msg("could not send before the deadline");
		net_turn(net);
	}
	assert_int_equal(ret, 0);
}

void net_chunk_make(struct net_chunk *made, uint64_t run, uint16_t blocks, uint32_t bytes)
{
	uint8_t *payload = malloc(bytes > 0 ? bytes : 1);

	assert_non_null(payload);
	for (uint32_t i = 0; i < bytes; i++)
		payload[i] = (uint8_t)(i * 31 + i / 251 + run);
	for (uint16_t i = 0; i < blocks; i++) {
		made->table[i] = (struct sluice_wire_block){
			.frame = sluice_le64(run * 16 + i),
			.timestamp_ns = sluice_le64(1000 + i),
			.offset = sluice_le32(bytes / blocks * i),
			.crc = sluice_le32(0xc0ffee00u + i),
			.position_x = sluice_le16(i),
			.position_y = sluice_le16(5),
		};
	}
	made->chunk = (struct link_chunk){
		.scan = SCAN,
		.epoch = EPOCH,
		.run = run,
		.flags = SLUICE_WIRE_LAST_PART,
		.block_count = blocks,
		.table = made->table,
		.payload = payload,
		.payload_bytes = bytes,
		.cookie = made,
	};
}

void net_chunk_drop(struct net *net, struct net_chunk *made)
{
	assert_true(net->dropped_count < NET_DROPPED_MAX);
	net->dropped[net->dropped_count++] = (void *)made->chunk.payload;
}

void net_chunk_compare(const struct link_message *message, const struct link_chunk *chunk)
{
	assert_int_equal(message->type, LINK_MESSAGE_CHUNK);
	assert_int_equal(message->scan, chunk->scan);
	assert_int_equal(message->epoch, chunk->epoch);
	assert_true(message->run == chunk->run);
	assert_int_equal(message->sector, chunk->sector);
	assert_int_equal(message->part, chunk->part);
	assert_int_equal(message->flags, chunk->flags);
	assert_int_equal(message->block_count, chunk->block_count);
	assert_int_equal(message->payload_bytes, chunk->payload_bytes);
	if (chunk->block_count > 0) {
		assert_int_equal((uintptr_t)message->table % 8, 0);
		assert_memory_equal(message->table, chunk->table,
				    chunk->block_count * sizeof(*chunk->table));
	}
	if (chunk->payload_bytes > 0)
		assert_memory_equal(message->payload, chunk->payload, chunk->payload_bytes);
}
