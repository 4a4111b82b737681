/* SPDX-License-Identifier: MIT */
/*
 * What Sluice is measured against: plain TCP, and libzmq as a careful user would use it (nothing
 * copied when sending, queues that end, the receiver's allocator told to keep its pages), from
 * memory or from a file. One row also has the send buffer that Sluice's link sets over loopback, so
 * as to tell that apart.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <zmq.h>

#include <base/clock.h>
#include <base/error.h>
#include <link/link.h>

#include "bench.h"

enum {
	QUEUE_CHUNKS = 64, /* messages in a queue, by what they are */
	QUEUE_BLOCKS = 1024,
	LINGER_MS = 10000,
	SEND_BUFFER = 256 << 10,
};

static uint64_t total_bytes(const struct bench_data *data)
{
	return data->size * data->loops;
}

static void received(struct bench_result *result, const struct bench_data *data, uint64_t bytes,
		     double cpu_s)
{
	const uint64_t due = total_bytes(data);

	result->end_ns = now_ns();
	result->bytes = bytes;
	result->frames = bytes / data->block_bytes;
	result->lost = (due - bytes + data->block_bytes - 1) / data->block_bytes;
	result->receiver_s = bench_cpu_s() - cpu_s;
}

/* ---- TCP ------------------------------------------------------------------------------------- */

static void tcp_receive(const struct bench_data *data, int tell, struct bench_result *result)
{
	const size_t chunk = (size_t)data->block_bytes * data->chunk_blocks;
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);
	char endpoint[BENCH_ENDPOINT_MAX];
	uint8_t *buffer = bench_alloc(chunk);
	const int listener = socket(AF_INET, SOCK_STREAM, 0);
	uint64_t bytes = 0;
	double cpu_s;
	ssize_t n;
	int fd;

	if (listener < 0 || bind(listener, (struct sockaddr *)&address, size) < 0 ||
	    listen(listener, 1) < 0 ||
	    getsockname(listener, (struct sockaddr *)&address, &size) < 0)
		bench_die("tcp: cannot listen: %s", error_name(neg_errno()));
	(void)snprintf(endpoint, sizeof(endpoint), "%u", ntohs(address.sin_port));
	bench_tell(tell, endpoint);
	fd = accept(listener, NULL, NULL);
	if (fd < 0)
		bench_die("tcp: nobody came: %s", error_name(neg_errno()));
	cpu_s = bench_cpu_s();
	/* Into the place in the buffer where it would be in the chunk. */
	while ((n = read(fd, buffer + bytes % chunk, chunk - bytes % chunk)) > 0)
		bytes += (uint64_t)n;
	received(result, data, bytes, cpu_s);
}

static void tcp_send(const struct bench_data *data, const char *endpoint,
		     struct bench_result *result)
{
	const size_t chunk = (size_t)data->block_bytes * data->chunk_blocks;
	const struct sockaddr_in address = { .sin_family = AF_INET,
					     .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
					     .sin_port = htons((uint16_t)bench_parse(
						     "port", endpoint, 1, UINT16_MAX)) };
	const int fd = socket(AF_INET, SOCK_STREAM, 0);
	const double cpu_s = bench_cpu_s();
	ssize_t n;

	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		bench_die("tcp: cannot connect: %s", error_name(neg_errno()));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	result->begin_ns = now_ns();
	for (uint64_t loop = 0; loop < data->loops; loop++) {
		for (size_t at = 0; at < data->size; at += (size_t)n) {
			const size_t left = data->size - at;

			n = write(fd, data->bytes + at, left < chunk ? left : chunk);
			if (n < 0)
				bench_die("tcp: cannot send: %s", error_name(neg_errno()));
		}
	}
	(void)close(fd);
	result->sender_s = bench_cpu_s() - cpu_s;
}

const struct bench_pair bench_tcp = { "tcp", tcp_receive, tcp_send };

/* ---- libzmq ---------------------------------------------------------------------------------- */

/* How libzmq is used. */
struct zmq_way {
	uint32_t message_blocks; /* 0: a chunk's */
	int queue;
	int send_buffer; /* bytes; 0: the kernel's to size */
	bool from_file;
};

static const struct zmq_way by_chunk = { .queue = QUEUE_CHUNKS };
static const struct zmq_way by_chunk_tuned = { .queue = QUEUE_CHUNKS, .send_buffer = SEND_BUFFER };
static const struct zmq_way by_block = { .message_blocks = 1, .queue = QUEUE_BLOCKS };
static const struct zmq_way file_by_chunk = { .queue = QUEUE_CHUNKS, .from_file = true };
static const struct zmq_way file_by_block = { .message_blocks = 1,
					      .queue = QUEUE_BLOCKS,
					      .from_file = true };

static void *zmq_open(void *ctx, int type, const struct zmq_way *way)
{
	void *socket = zmq_socket(ctx, type);
	const struct {
		int name, value;
	} option[] = {
		{ ZMQ_SNDHWM, way->queue },
		{ ZMQ_RCVHWM, way->queue },
		{ ZMQ_LINGER, LINGER_MS },
		{ ZMQ_IMMEDIATE, 1 }, /* nothing is queued before the connection stands */
		{ ZMQ_SNDBUF, way->send_buffer ? way->send_buffer : -1 },
	};

	for (size_t i = 0; i < sizeof(option) / sizeof(option[0]); i++)
		if (!socket || zmq_setsockopt(socket, option[i].name, &option[i].value,
					      sizeof(option[i].value)) != 0)
			bench_die("libzmq: no socket: %s", zmq_strerror(zmq_errno()));
	return socket;
}

static void zmq_receive(const struct bench_data *data, const struct zmq_way *way, int tell,
			struct bench_result *result)
{
	char endpoint[BENCH_ENDPOINT_MAX];
	size_t size = sizeof(endpoint);
	const uint64_t due = total_bytes(data);
	uint64_t bytes = 0;
	double cpu_s;
	void *ctx, *socket;

	link_tune_allocator();
	ctx = zmq_ctx_new();
	socket = zmq_open(ctx, ZMQ_PULL, way);
	if (zmq_bind(socket, "tcp://127.0.0.1:*") != 0 ||
	    zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, endpoint, &size) != 0)
		bench_die("libzmq: cannot bind: %s", zmq_strerror(zmq_errno()));
	cpu_s = bench_cpu_s();
	bench_tell(tell, endpoint);
	while (bytes < due) {
		zmq_msg_t msg;

		(void)zmq_msg_init(&msg);
		if (zmq_msg_recv(&msg, socket, 0) < 0)
			bench_die("libzmq: cannot receive: %s", zmq_strerror(zmq_errno()));
		bytes += zmq_msg_size(&msg);
		(void)zmq_msg_close(&msg);
	}
	received(result, data, bytes, cpu_s);
	(void)zmq_close(socket);
	(void)zmq_ctx_term(ctx);
}

static void zmq_send_one(void *socket, zmq_msg_t *msg)
{
	if (zmq_msg_send(msg, socket, 0) < 0)
		bench_die("libzmq: cannot send: %s", zmq_strerror(zmq_errno()));
}

/* The data stay where they are. */
static void keep(void *bytes, void *hint)
{
	(void)bytes;
	(void)hint;
}

static void zmq_send_data(const struct bench_data *data, size_t message, void *socket)
{
	for (size_t at = 0; at < data->size; at += message) {
		const size_t left = data->size - at;
		zmq_msg_t msg;

		if (zmq_msg_init_data(&msg, (void *)(data->bytes + at),
				      left < message ? left : message, keep, NULL) != 0)
			bench_die("libzmq: no message: %s", zmq_strerror(zmq_errno()));
		zmq_send_one(socket, &msg);
	}
}

/* Buffers of a message each, altogether as large as Sluice's ring. The one that came back last is
 * used first: it may still be in the cache. */
struct pool {
	pthread_mutex_t lock;
	pthread_cond_t came_back;
	uint8_t *memory;
	unsigned int count;
	uint8_t **idle;
};

static void pool_init(struct pool *pool, unsigned int buffers, size_t bytes)
{
	(void)pthread_mutex_init(&pool->lock, NULL);
	(void)pthread_cond_init(&pool->came_back, NULL);
	pool->memory = bench_alloc(buffers * bytes);
	pool->idle = bench_alloc(buffers * sizeof(pool->idle[0]));
	for (pool->count = 0; pool->count < buffers; pool->count++)
		pool->idle[pool->count] = pool->memory + pool->count * bytes;
}

static void pool_fini(struct pool *pool)
{
	free(pool->idle);
	free(pool->memory);
	(void)pthread_cond_destroy(&pool->came_back);
	(void)pthread_mutex_destroy(&pool->lock);
}

/* Waits until one is idle; the alarm of the process ends a wait that does not. */
static uint8_t *pool_take(struct pool *pool)
{
	uint8_t *buffer;

	(void)pthread_mutex_lock(&pool->lock);
	while (pool->count == 0)
		(void)pthread_cond_wait(&pool->came_back, &pool->lock);
	buffer = pool->idle[--pool->count];
	(void)pthread_mutex_unlock(&pool->lock);
	return buffer;
}

/* libzmq's thread: the message is sent. */
static void pool_put(void *buffer, void *hint)
{
	struct pool *pool = hint;

	(void)pthread_mutex_lock(&pool->lock);
	pool->idle[pool->count++] = buffer;
	(void)pthread_cond_signal(&pool->came_back);
	(void)pthread_mutex_unlock(&pool->lock);
}

static void read_whole(int fd, uint8_t *buffer, size_t bytes, size_t at)
{
	for (size_t have = 0; have < bytes;) {
		const ssize_t n = pread(fd, buffer + have, bytes - have, (off_t)(at + have));

		if (n <= 0)
			bench_die("file: cannot be read: %s", error_name(neg_errno()));
		have += (size_t)n;
	}
}

static void zmq_send_file(const struct bench_data *data, size_t message, struct pool *pool,
			  void *socket)
{
	const int fd = open(data->path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		bench_die("%s: %s", data->path, error_name(neg_errno()));
	for (size_t at = 0; at < data->size; at += message) {
		const size_t left = data->size - at;
		const size_t bytes = left < message ? left : message;
		uint8_t *buffer = pool_take(pool);
		zmq_msg_t msg;

		read_whole(fd, buffer, bytes, at);
		if (zmq_msg_init_data(&msg, buffer, bytes, pool_put, pool) != 0)
			bench_die("libzmq: no message: %s", zmq_strerror(zmq_errno()));
		zmq_send_one(socket, &msg);
	}
	(void)close(fd);
}

static void zmq_send_all(const struct bench_data *data, const struct zmq_way *way,
			 const char *endpoint, struct bench_result *result)
{
	const uint32_t blocks = way->message_blocks ? way->message_blocks : data->chunk_blocks;
	const size_t message = (size_t)data->block_bytes * blocks;
	struct pool pool;
	void *ctx = zmq_ctx_new();
	void *socket = zmq_open(ctx, ZMQ_PUSH, way);
	const double cpu_s = bench_cpu_s();

	if (way->from_file)
		pool_init(&pool, data->ring_chunks * data->chunk_blocks / blocks, message);
	if (zmq_connect(socket, endpoint) != 0)
		bench_die("libzmq: cannot connect: %s", zmq_strerror(zmq_errno()));
	/* An empty message first: the connection stands when the clock starts. */
	if (zmq_send(socket, "", 0, 0) != 0)
		bench_die("libzmq: cannot send: %s", zmq_strerror(zmq_errno()));
	result->begin_ns = now_ns();
	for (uint64_t loop = 0; loop < data->loops; loop++) {
		if (way->from_file)
			zmq_send_file(data, message, &pool, socket);
		else
			zmq_send_data(data, message, socket);
	}
	(void)zmq_close(socket);
	(void)zmq_ctx_term(ctx);
	result->sender_s = bench_cpu_s() - cpu_s;
	if (way->from_file)
		pool_fini(&pool);
}

#define ZMQ_HALVES(way)                                                             \
	static void way##_receive(const struct bench_data *data, int tell,          \
				  struct bench_result *result)                      \
	{                                                                           \
		zmq_receive(data, &(way), tell, result);                            \
	}                                                                           \
	static void way##_send(const struct bench_data *data, const char *endpoint, \
			       struct bench_result *result)                         \
	{                                                                           \
		zmq_send_all(data, &(way), endpoint, result);                       \
	}
ZMQ_HALVES(by_chunk)
ZMQ_HALVES(by_chunk_tuned)
ZMQ_HALVES(by_block)
ZMQ_HALVES(file_by_chunk)
ZMQ_HALVES(file_by_block)

const struct bench_pair bench_zmq_chunk = { "zmq_chunk", by_chunk_receive, by_chunk_send };
const struct bench_pair bench_zmq_tuned = { "zmq_tuned", by_chunk_tuned_receive,
					    by_chunk_tuned_send };
const struct bench_pair bench_zmq_block = { "zmq_block", by_block_receive, by_block_send };
const struct bench_pair bench_zmq_file_chunk = { "zmq_file_chunk", file_by_chunk_receive,
						 file_by_chunk_send };
const struct bench_pair bench_zmq_file_block = { "zmq_file_block", file_by_block_receive,
						 file_by_block_send };
