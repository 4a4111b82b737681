/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include <model/card_internal.h>

#include <assert.h>
#include <string.h>

/*
 * One chain is at hand at a time. It is taken when there is something to write into it, filled
 * block by block, and completed.
 *
 *            take_chain()        put_block()            complete()
 *   posted ---------------> at hand -----> ... -----> FULL, END, STOPPED, a fault
 */

void engine_arm(struct card *card)
{
	/* judge_rings() has set the rings: nothing posted, nothing written. */
	card->chain.pieces = 0;
	card->chain.blocks = 0;
	card_set(card, FW_DESC_TAIL, 0);
	card_set(card, FW_DESC_HEAD, 0);
	card_set(card, FW_COMPLETION_COUNT, 0);
}

static bool at_work(const struct card *card)
{
	return card->state == FW_STATE_ARMED || card->state == FW_STATE_RUNNING ||
	       card->state == FW_STATE_STOPPING;
}

void engine_read_tail(struct card *card)
{
	struct card_rings *r = &card->rings;
	const uint32_t tail = card_get(card, FW_DESC_TAIL);

	if (!at_work(card))
		return;
	if (tail - r->desc_head > r->desc_entries) {
		engine_fail(card, FW_FAULT_DESCRIPTOR);
		return;
	}
	r->desc_tail = tail;
}

/* The number of the chain at hand, as faults count them. */
static uint64_t chunk(const struct card *card)
{
	return card->rings.chains - 1;
}

/* Writes a completion for the chain at hand. -EFAULT. */
static int write_completion(struct card *card, enum fw_status status, uint32_t blocks)
{
	const bool wrong = card_fault_at(card, FAULT_LENGTH, chunk(card), NULL);
	const struct card_host_ops *host = card->args.host;
	struct card_rings *r = &card->rings;
	const uint64_t entry = r->completions & ((UINT64_C(1) << r->completion_order) - 1);
	const uint64_t address = r->completion_address + entry * sizeof(struct fw_completion);
	const struct fw_completion c = {
		.first_frame = sluice_le64(blocks > 0 ? card->chain.first_frame : 0),
		.bytes = sluice_le32(blocks * card->block_bytes + wrong),
		.blocks = sluice_le32(blocks),
		.tag = sluice_le16(card->chain.tag),
		.status = sluice_le16((uint16_t)status),
		.scan = sluice_le32(card->run.number),
		.descriptors = sluice_le32(card->chain.pieces),
		.generation = sluice_le32(fw_generation(r->completions, r->completion_order)),
	};
	const size_t before = offsetof(struct fw_completion, generation);
	int ret;

	ret = host->write(card->args.host_ctx, address, &c, before);
	if (ret == 0)
		ret = host->write(card->args.host_ctx, address + before, &c.generation,
				  sizeof(c.generation));
	if (ret < 0)
		return ret;
	r->completions++;
	card->counters.completions++;
	card->report.completions++;
	card_set(card, FW_COMPLETION_COUNT, (uint32_t)r->completions);
	card_set64(card, FW_COMPLETIONS, card->counters.completions);
	return 0;
}

void engine_fail(struct card *card, enum fw_fault fault)
{
	static const enum fw_status status[] = {
		[FW_FAULT_DMA] = FW_STATUS_DMA,
		[FW_FAULT_DESCRIPTOR] = FW_STATUS_DESCRIPTOR,
		[FW_FAULT_LINK] = FW_STATUS_LINK,
		[FW_FAULT_INTERNAL] = FW_STATUS_INTERNAL,
	};
	const bool stop_waits = card->stop_waits;

	/* Without a chain, or without a way to its completion, the registers must do. */
	if (card->chain.pieces > 0 && write_completion(card, status[fault], 0) == 0)
		interrupt_note(card, true);
	card->fault = fault;
	card->stop_waits = false;
	card_end_scan(card, FW_STATE_FAILED);
	interrupt_raise_due(card);
	if (stop_waits)
		command_answer(card, card->stop_sequence, FW_ANSWER_FAULT);
	else
		interrupt_event(card);
}

/* The completion, as often as the faults let it be written. -EFAULT. */
static int announce(struct card *card, enum fw_status status, uint32_t blocks)
{
	const bool twice = card_fault_at(card, FAULT_TWICE, chunk(card), NULL);
	const int ret = write_completion(card, status, blocks);

	return ret == 0 && twice ? write_completion(card, status, blocks) : ret;
}

/* Gives the chain at hand back. @state: what the board is in after it. */
static void complete(struct card *card, enum fw_status status, enum fw_state state)
{
	struct card_chain *chain = &card->chain;
	const bool lost = card_fault_at(card, FAULT_LOST, chunk(card), NULL);
	const uint32_t blocks = lost ? 0 : chain->blocks;
	const uint64_t bytes = (uint64_t)blocks * card->block_bytes;

	/* Counters first: a host that saw the completion finds the account closed. */
	card->counters.blocks_out += blocks;
	card->counters.bytes_out += bytes;
	card_publish(card);
	if (!lost && announce(card, status, blocks) < 0) {
		card->counters.blocks_out -= blocks;
		card->counters.bytes_out -= bytes;
		engine_fail(card, FW_FAULT_DMA);
		return;
	}
	card->report.blocks += blocks;
	card->report.bytes += bytes;
	chain->pieces = 0;
	chain->blocks = 0;
	if (!lost)
		interrupt_note(card, status != FW_STATUS_FULL);
	/* Idle means that no DMA comes: only after the last write. */
	if (state != card->state)
		card_end_scan(card, state);
	interrupt_raise_due(card);
	if (status == FW_STATUS_END)
		interrupt_event(card);
}

/* Reads the descriptor @index after the head. -EFAULT. */
static int read_desc(const struct card *card, uint32_t index, struct fw_desc *ret_desc)
{
	const struct card_rings *r = &card->rings;
	const uint32_t entry = (r->desc_head + index) & (r->desc_entries - 1);

	return card->args.host->read(card->args.host_ctx,
				     r->desc_address + (uint64_t)entry * sizeof(struct fw_desc),
				     ret_desc, sizeof(*ret_desc));
}

/* Adds a descriptor to the chain at hand. FW_FAULT_NONE, or why it cannot be. */
static enum fw_fault add_desc(struct card *card, const struct fw_desc *desc)
{
	struct card_chain *chain = &card->chain;
	const uint64_t address = sluice_u64(desc->address);
	const uint32_t bytes = sluice_u32(desc->bytes);
	const uint16_t tag = (uint16_t)(sluice_u32(desc->control) & FW_DESC_TAG);

	if (chain->pieces == 0)
		chain->tag = tag;
	chain->piece[chain->pieces++] = (struct card_piece){ address, bytes };
	chain->room += bytes;
	if (bytes == 0 || tag != chain->tag)
		return FW_FAULT_DESCRIPTOR;
	/* Beyond the end of all addresses. */
	return address > UINT64_MAX - (bytes - 1) ? FW_FAULT_DMA : FW_FAULT_NONE;
}

/* Reads the next chain that was posted. FW_FAULT_NONE, or why it cannot be. */
static enum fw_fault read_chain(struct card *card)
{
	struct card_chain *chain = &card->chain;
	const uint32_t posted = card->rings.desc_tail - card->rings.desc_head;
	enum fw_fault fault = FW_FAULT_NONE;
	struct fw_desc desc = { 0 };

	chain->pieces = 0;
	chain->blocks = 0;
	chain->room = 0;
	chain->at = 0;
	chain->offset = 0;
	while (fault == FW_FAULT_NONE && !(sluice_u32(desc.control) & FW_DESC_LAST)) {
		if (chain->pieces == posted || chain->pieces == card->args.chain_max)
			return FW_FAULT_DESCRIPTOR;
		if (read_desc(card, chain->pieces, &desc) < 0)
			return FW_FAULT_DMA;
		fault = add_desc(card, &desc);
	}
	if (fault == FW_FAULT_NONE && chain->room < card->block_bytes)
		fault = FW_FAULT_DESCRIPTOR;
	return fault;
}

/* Returns whether a chain is at hand. */
static bool take_chain(struct card *card)
{
	struct card_rings *r = &card->rings;
	struct card_chain *chain = &card->chain;
	enum fw_fault fault;

	if (chain->pieces > 0)
		return true;
	if (r->desc_head == r->desc_tail)
		return false;
	fault = read_chain(card);
	r->desc_head += chain->pieces;
	r->chains++;
	card->report.descriptors += chain->pieces;
	card_set(card, FW_DESC_HEAD, r->desc_head);
	if (fault != FW_FAULT_NONE) {
		engine_fail(card, fault);
		return false;
	}
	if (card_fault_at(card, FAULT_DESCRIPTOR, chunk(card), NULL)) {
		engine_fail(card, FW_FAULT_DESCRIPTOR);
		return false;
	}
	/* A completion counts bytes in 32 bits. */
	if (chain->room > UINT32_MAX)
		chain->room = UINT32_MAX;
	return true;
}

/* Writes @bytes from where the chain is filled to. -EFAULT. */
static int put_bytes(struct card *card, const uint8_t *src, size_t bytes)
{
	struct card_chain *chain = &card->chain;

	while (bytes > 0) {
		const struct card_piece *piece = &chain->piece[chain->at];
		size_t n;
		int ret;

		assert(chain->at < chain->pieces);
		n = piece->bytes - chain->offset;
		n = bytes < n ? bytes : n;
		ret = card->args.host->write(card->args.host_ctx, piece->address + chain->offset,
					     src, n);
		if (ret < 0)
			return ret;
		src += n;
		bytes -= n;
		chain->offset += (uint32_t)n;
		if (chain->offset == piece->bytes) {
			chain->at++;
			chain->offset = 0;
		}
	}
	return 0;
}

/* Moves the oldest block of the buffer into the chain at hand. -EFAULT. */
static int put_block(struct card *card)
{
	struct card_input *in = &card->input;
	struct card_chain *chain = &card->chain;
	const struct card_block block = in->block[in->first];
	struct batch *batch = &card->batch;
	uint32_t jump = 0;

	batch_reset(batch);
	batch_add(batch, &card->run, block.frame, block.exposed_ns);
	assert(batch->bytes == card->block_bytes);
	for (unsigned int i = 0; i < batch->pieces; i++) {
		const int ret = put_bytes(card, batch->piece[i].iov_base, batch->piece[i].iov_len);

		if (ret < 0)
			return ret;
	}
	if (card_fault_at(card, FAULT_JUMP, block.frame, &jump))
		card->counters.blocks_out += jump;
	in->first = (in->first + 1) % card->args.buffer_blocks;
	in->count--;
	if (chain->blocks == 0)
		chain->first_frame = block.frame;
	chain->blocks++;
	chain->room -= card->block_bytes;
	return 0;
}

static bool other_run(const struct card *card, uint64_t frame)
{
	return card->run_frames != 0 && card->chain.blocks > 0 &&
	       frame / card->run_frames != card->chain.first_frame / card->run_frames;
}

/* After a block: whether the chain at hand goes back, and as what. */
static void complete_if_full(struct card *card, uint64_t frame)
{
	const bool empty = card->input.count == 0;

	if (card->state == FW_STATE_RUNNING && empty && input_ended(card))
		complete(card, FW_STATUS_END, FW_STATE_IDLE);
	else if (card->state == FW_STATE_STOPPING && empty)
		return; /* engine_finish_stop() completes it */
	else if (card->chain.room < card->block_bytes || other_run(card, frame + 1))
		complete(card, FW_STATUS_FULL, card->state);
}

/* Faults in the middle of a chunk. Returns whether there was one. */
static bool fails_in_chunk(struct card *card)
{
	if (card->chain.blocks != 1)
		return false;
	if (card_fault_at(card, FAULT_GONE, chunk(card), NULL))
		card_remove(card);
	else if (card_fault_at(card, FAULT_DMA, chunk(card), NULL))
		engine_fail(card, FW_FAULT_DMA);
	else if (card_fault_at(card, FAULT_INTERNAL, chunk(card), NULL))
		engine_fail(card, FW_FAULT_INTERNAL);
	else
		return false;
	return true;
}

bool engine_move(struct card *card)
{
	struct card_input *in = &card->input;
	uint64_t frame;

	if (in->count == 0 && (card->state != FW_STATE_RUNNING || !input_ended(card)))
		return false;
	if (!take_chain(card))
		return false;
	if (in->count == 0) {
		/* The last frames were dropped. */
		complete(card, FW_STATUS_END, FW_STATE_IDLE);
		return true;
	}
	frame = in->block[in->first].frame;
	if (other_run(card, frame)) {
		complete(card, FW_STATUS_FULL, card->state);
		return true;
	}
	if (put_block(card) < 0)
		engine_fail(card, FW_FAULT_DMA);
	else if (!fails_in_chunk(card))
		complete_if_full(card, frame);
	return true;
}

void engine_finish_stop(struct card *card)
{
	if (take_chain(card))
		complete(card, FW_STATUS_STOPPED, FW_STATE_IDLE);
	else if (card->state == FW_STATE_STOPPING)
		card_end_scan(card, FW_STATE_IDLE);
	/* Where it failed, that was answered. */
	if (card->state != FW_STATE_IDLE)
		return;
	card->stop_waits = false;
	command_answer(card, card->stop_sequence, FW_ANSWER_DONE);
}
