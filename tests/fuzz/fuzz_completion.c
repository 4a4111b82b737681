/* SPDX-License-Identifier: MIT */
/*
 * A board that writes whatever it likes into the completion ring, while a host posts chains and
 * reaps. The input is a list of orders of ORDER_BYTES each; the host must never take a byte count
 * that it did not lend, a chain twice or out of turn, nor the bytes of a board that failed.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <conformance/board_rings.h>
#include <driver/judge.h>

enum {
	ORDER_BYTES = 36, /* what, and up to a completion */
	ORDERS_MAX = 4096,
	PIECES_MAX = 5,
	BLOCK_BYTES = 80,
	SCAN = 0x1234,
};

enum order {
	POST,
	WRITE,  /* 32 bytes of the input, where the input says */
	ALMOST, /* the right completion, with some bits of one byte changed, or with none */
	REAP,
	ORDERS
};

struct host {
	struct rings rings;
	uint64_t posted, taken; /* chains */
	uint64_t written;       /* right completions, or almost */
	int failed;
};

/* Not assert(): it must hold in every build. */
static void must(int fact)
{
	if (!fact)
		abort();
}

/* Chains are told apart by the number that stands for their owner. */
static void *owner_of(uint64_t number)
{
	return (void *)(uintptr_t)(number + 1);
}

static void post(struct host *h, const uint8_t *order)
{
	struct rings_piece piece[PIECES_MAX];
	const uint32_t pieces = 1 + order[0] % PIECES_MAX;
	const uint32_t out = h->rings.chains_out;
	int ret;

	for (uint32_t i = 0; i < pieces; i++)
		piece[i] = (struct rings_piece){
			.address = i,
			.bytes = BLOCK_BYTES + order[1 + 2 * i] + 256u * order[2 + 2 * i],
		};
	ret = rings_post(&h->rings, piece, pieces, owner_of(h->posted));
	must(ret == 0 || out == RINGS_CHAINS ||
	     h->rings.descriptors_out + pieces > RINGS_DESCRIPTORS);
	h->posted += ret == 0;
}

static void write_almost(struct host *h, const uint8_t *order)
{
	const uint16_t tag = (uint16_t)h->written;
	const struct rings_chain *const chain = &h->rings.chain[tag % RINGS_CHAINS];
	struct fw_completion *const at = &h->rings.completion[h->written % RINGS_CHAINS];
	const uint32_t blocks = order[2] % 8 ? chain->bytes / BLOCK_BYTES : order[2] % 3;
	struct fw_completion c = {
		.bytes = sluice_le32(blocks * BLOCK_BYTES),
		.blocks = sluice_le32(blocks),
		.tag = sluice_le16(tag),
		.status = sluice_le16(order[3] % 4 ? FW_STATUS_FULL : 1 + order[4] % 8),
		.scan = sluice_le32(SCAN),
		.descriptors = sluice_le32(chain->descriptors),
		.generation = sluice_le32(fw_generation(h->written, RINGS_ORDER)),
	};

	((uint8_t *)&c)[order[0] % sizeof(c)] ^= order[1];
	*at = c;
	h->written++;
}

static void reap(struct host *h)
{
	/* Bounded: a turn that takes nothing ends it. */
	for (;;) {
		const struct rings before = h->rings;
		struct rings_done done = { 0 };
		const int ret = rings_reap(&h->rings, &done);

		if (ret <= 0) {
			/* Nothing is taken, and @done is untouched. */
			must(done.owner == NULL && done.bytes == 0 && done.last == 0);
			must(h->rings.taken == before.taken);
			must(h->rings.chains_out == before.chains_out);
			must(h->rings.descriptors_out == before.descriptors_out);
			h->failed = ret < 0;
			return;
		}
		must(h->taken < h->posted);
		must(done.owner == owner_of(h->taken));
		must(done.bytes <= before.chain[h->taken % RINGS_CHAINS].bytes);
		must(done.bytes % BLOCK_BYTES == 0);
		/* Nothing at all is the end, and only that. */
		must(done.bytes > 0 || done.last);
		h->taken++;
		must(h->rings.chains_out == h->posted - h->taken);
	}
}

/* Every sentence of interface 4.3 that a good completion keeps, in the widest numbers. */
static int keeps_all(const struct fw_completion *c, const struct fw_expected *e)
{
	const uint64_t bytes = sluice_u32(c->bytes), blocks = sluice_u32(c->blocks);
	const uint16_t status = sluice_u16(c->status);

	return sluice_u16(c->tag) == e->tag && sluice_u32(c->scan) == e->scan &&
	       sluice_u32(c->descriptors) == e->descriptors && bytes <= e->bytes &&
	       blocks * e->block_bytes == bytes &&
	       (status == FW_STATUS_END || status == FW_STATUS_STOPPED ||
		(status == FW_STATUS_FULL && blocks > 0));
}

/* The judge alone, against an expectation from the input: it takes what keeps all, and only that.
 */
static void judge(const uint8_t *order)
{
	struct fw_completion c;
	struct fw_expected e = { .scan = SCAN, .block_bytes = 1 + order[0] % 128u };
	int last = -1;
	int ret;

	memcpy(&c, order + 4, sizeof(c));
	e.tag = (uint16_t)(sluice_u16(c.tag) - order[2] / 2 % 4);
	e.newest = (uint16_t)(e.tag + order[1]);
	e.descriptors = order[2] % 2 ? sluice_u32(c.descriptors) : order[2];
	e.bytes = order[3] * 256u;
	ret = sluice_completion_errno(&c, &e, &last);
	must(ret <= 0 && ret >= -4095);
	must((ret == 0) == keeps_all(&c, &e));
	must(last == (ret < 0 ? -1 : sluice_u16(c.status) != FW_STATUS_FULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct host h;
	size_t orders = 0;
	void *owner;

	h = (struct host){ 0 };
	rings_clear(&h.rings, SCAN, BLOCK_BYTES);
	while (size >= ORDER_BYTES && !h.failed && orders++ < ORDERS_MAX) {
		judge(data);
		switch (data[0] % ORDERS) {
		case POST:
			post(&h, data + 1);
			break;
		case WRITE:
			memcpy(&h.rings.completion[data[1] % RINGS_CHAINS], data + 4,
			       sizeof(struct fw_completion));
			break;
		case ALMOST:
			write_almost(&h, data + 1);
			break;
		default:
			reap(&h);
		}
		data += ORDER_BYTES;
		size -= ORDER_BYTES;
	}
	/* Whatever was not taken is still there to be given up, each once. */
	while ((owner = rings_forget(&h.rings)))
		must(owner == owner_of(h.taken++));
	must(h.taken == h.posted && h.rings.descriptors_out == 0);
	return 0;
}
