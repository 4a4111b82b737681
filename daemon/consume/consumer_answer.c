/* SPDX-License-Identifier: MIT */
/* What peers are told: acks, nacks and credits. The network thread. */
#include <errno.h>

#include <consume/consumer_state.h>

void answer_push(struct sluice_consumer *c, const struct answer *answer)
{
	if (answer->sectors == 0)
		return;
	/*
	 * What callers give back waits for room. Copies, and what is to come again, do not: their
	 * sender hears nothing, and in the end gives the run to another or gives it up by name.
	 */
	if (c->answer_count == ANSWERS_MAX) {
		stat_add(&c->stats.answers_dropped, 1);
		return;
	}
	c->answer[(c->answer_first + c->answer_count++) % ANSWERS_MAX] = *answer;
	answer->scan->answers++;
}

void answer_grant(struct sluice_consumer *c, unsigned int index, bool now)
{
	struct peer *peer = &c->peer[index];
	const uint64_t want = peer->target + peer->returned;

	if (!peer->up || want <= peer->granted)
		return;
	if (link_grant(c->receiver, index, (uint32_t)(want - peer->granted), now) == 0)
		peer->granted = want;
}

static int send_nack(struct sluice_consumer *c, const struct answer *answer)
{
	struct sluice_wire_nack nack[SLUICE_SECTORS_MAX];
	unsigned int count = 0;

	for (unsigned int s = 0; s < SLUICE_SECTORS_MAX; s++) {
		if (answer->sectors >> s & 1)
			nack[count++] = (struct sluice_wire_nack){
				.run_first = sluice_le64(answer->run),
				.run_count = sluice_le32(1),
				.sector = sluice_le16((uint16_t)s),
				.cause = sluice_le16(SLUICE_LOSS_PEER),
			};
	}
	return link_nack(c->receiver, answer->peer, answer->scan->info.scan, nack, count);
}

static int send_ack_of(struct sluice_consumer *c, const struct answer *answer, uint32_t sectors)
{
	struct sluice_wire_ack ack[SLUICE_SECTORS_MAX];
	unsigned int count = 0, rejects;

	for (unsigned int s = 0; s < SLUICE_SECTORS_MAX; s++) {
		if (sectors >> s & 1)
			ack[count++] = (struct sluice_wire_ack){
				.run_first = sluice_le64(answer->run),
				.run_count = sluice_le32(1),
				.sector = sluice_le16((uint16_t)s),
			};
	}
	rejects = account_rejects(answer->scan, answer->run, sectors, c->scratch,
				  SLUICE_WIRE_ENTRIES_MAX);
	if (rejects > SLUICE_WIRE_ENTRIES_MAX)
		return -E2BIG;
	return link_ack(c->receiver, answer->peer, answer->scan->info.scan, ack, count, c->scratch,
			rejects);
}

static int send_ack(struct sluice_consumer *c, const struct answer *answer)
{
	int ret = send_ack_of(c, answer, answer->sectors);

	if (ret != -E2BIG)
		return ret;
	/* So many rejects that they need a message for each sector. */
	ret = 0;
	for (unsigned int s = 0; s < SLUICE_SECTORS_MAX; s++) {
		const uint32_t sector = answer->sectors & UINT32_C(1) << s;
		const int one = sector != 0 ? send_ack_of(c, answer, sector) : 0;

		if (one < 0 && one != -E2BIG)
			return one;
		ret = one < 0 ? one : ret;
	}
	return ret;
}

void answers_send(struct sluice_consumer *c)
{
	while (c->answer_count > 0) {
		const struct answer *answer = &c->answer[c->answer_first];
		int ret = 0;

		if (c->peer[answer->peer].up && answer->sectors != 0) {
			answer_grant(c, answer->peer, false); /* travels with the answer */
			ret = answer->nack ? send_nack(c, answer) : send_ack(c, answer);
		}
		if (ret == -EAGAIN)
			return;
		/* A peer that is gone asks again when it is back; for the rest there is no cure. */
		stat_add(&c->stats.answers_unsendable, ret < 0 && ret != -ENOTCONN);
		answer->scan->answers--;
		c->answer_first = (c->answer_first + 1) % ANSWERS_MAX;
		c->answer_count--;
	}
}
