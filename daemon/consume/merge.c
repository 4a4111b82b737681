/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include <base/error.h>
#include <consume/merge.h>

enum {
	NO_PART = UINT32_MAX,
};

/* Where a frame is: an entry of a part. */
struct place {
	uint32_t part;
	uint32_t entry;
};

struct merge {
	struct part_reader **reader;
	unsigned int parts; /* open so far */
	uint64_t frames;
	struct place *place; /* per frame of the scan */
	struct merge_counts counts;
};

static const struct part_entry *entry_at(const struct merge *m, struct place place)
{
	return place.part == NO_PART ? NULL : part_reader_entry(m->reader[place.part], place.entry);
}

static bool same_scan(const struct sluice_scan *a, const struct sluice_scan *b)
{
	const struct sluice_geometry *g = &a->geometry, *h = &b->geometry;

	return a->scan_columns == b->scan_columns && a->scan_rows == b->scan_rows &&
	       a->frames_per_position == b->frames_per_position &&
	       a->frames_expected == b->frames_expected && a->run_frames == b->run_frames &&
	       g->sectors == h->sectors && g->layout == h->layout && g->rows == h->rows &&
	       g->columns == h->columns && g->pixel == h->pixel;
}

static int check_alike(const struct part_reader *a, const struct part_reader *b,
		       struct sluice_error *reterr)
{
	const struct part_info *x = part_reader_info(a), *y = part_reader_info(b);
	const struct threshold *t = &x->threshold, *u = &y->threshold;

	if (x->scan.scan != y->scan.scan)
		return error_set(reterr, -EINVAL,
				 "part %s is of scan %u, part %s of scan %u: merge the parts of "
				 "one scan",
				 part_reader_name(a), x->scan.scan, part_reader_name(b),
				 y->scan.scan);
	if (!same_scan(&x->scan, &y->scan))
		return error_set(reterr, -EINVAL,
				 "parts %s and %s disagree about the size or geometry of scan %u",
				 part_reader_name(a), part_reader_name(b), x->scan.scan);
	if (x->pixel != y->pixel)
		return error_set(reterr, -EINVAL,
				 "parts %s and %s disagree about the pixels they record",
				 part_reader_name(a), part_reader_name(b));
	if (t->background != u->background || t->xray != u->xray)
		return error_set(reterr, -EINVAL,
				 "part %s is counted with background %.17g and xray %.17g, part %s "
				 "with %.17g and %.17g: their events cannot be compared",
				 part_reader_name(a), t->background, t->xray, part_reader_name(b),
				 u->background, u->xray);
	return 0;
}

static void index_part(struct merge *m, uint32_t part)
{
	const struct part_reader *reader = m->reader[part];

	m->counts.parts_torn += part_reader_torn(reader) > 0;
	for (size_t i = 0; i < part_reader_count(reader); i++) {
		const struct part_entry *entry = part_reader_entry(reader, i);
		struct place *place = &m->place[entry->frame];
		const struct part_entry *known = entry_at(m, *place);

		if (entry->sector_mask == 0)
			continue;
		m->counts.duplicates += known != NULL;
		if (!known ||
		    __builtin_popcount(entry->sector_mask) > __builtin_popcount(known->sector_mask))
			*place = (struct place){ .part = part, .entry = (uint32_t)i };
	}
}

static void count_frames(struct merge *m)
{
	const struct sluice_scan *scan = &merge_info(m)->scan;
	struct merge_counts *c = &m->counts;

	c->parts = m->parts;
	c->frames_expected = scan->frames_expected;
	for (uint64_t f = 0; f < scan->frames_expected; f++) {
		const struct part_entry *entry = entry_at(m, m->place[f]);

		if (!entry) {
			c->frames_lost++;
			continue;
		}
		c->frames_delivered++;
		c->events += entry->event_count;
		c->frames_incomplete += __builtin_popcount(entry->sector_mask) <
					scan->geometry.sectors;
	}
}

static int open_parts(struct merge *m, const char *const *paths, unsigned int count,
		      struct sluice_error *reterr)
{
	for (; m->parts < count; m->parts++) {
		int ret = part_reader_open(paths[m->parts], &m->reader[m->parts], reterr);

		if (ret < 0)
			return ret;
		if (m->parts == 0)
			continue;
		ret = check_alike(m->reader[0], m->reader[m->parts], reterr);
		if (ret < 0) {
			part_reader_close(m->reader[m->parts]);
			return ret;
		}
	}
	return 0;
}

int merge_open(const char *const *paths, unsigned int count, struct merge **ret_merge,
	       struct sluice_error *reterr)
{
	struct merge *m;
	int ret;

	if (count == 0 || count > MERGE_PARTS_MAX)
		return error_set(reterr, -EINVAL, "merge: %u parts; allowed: 1 to %u", count,
				 (unsigned int)MERGE_PARTS_MAX);
	m = calloc(1, sizeof(*m));
	if (!m)
		return error_set(reterr, -ENOMEM, "merge: out of memory");
	m->reader = calloc(count, sizeof(*m->reader));
	if (!m->reader) {
		ret = error_set(reterr, -ENOMEM, "merge: out of memory");
		goto err_close;
	}
	ret = open_parts(m, paths, count, reterr);
	if (ret < 0)
		goto err_close;
	m->frames = part_frames(merge_info(m));
	m->place = malloc(m->frames * sizeof(*m->place));
	if (!m->place) {
		ret = error_set(reterr, -ENOMEM, "merge: out of memory for %lu frames",
				(unsigned long)m->frames);
		goto err_close;
	}
	memset(m->place, 0xff, m->frames * sizeof(*m->place)); /* NO_PART */
	for (unsigned int i = 0; i < m->parts; i++)
		index_part(m, i);
	count_frames(m);
	*ret_merge = m;
	return 0;

err_close:
	merge_close(m);
	return ret;
}

void merge_close(struct merge *merge)
{
	if (!merge)
		return;
	for (unsigned int i = 0; i < merge->parts; i++)
		part_reader_close(merge->reader[i]);
	free(merge->reader);
	free(merge->place);
	free(merge);
}

const struct merge_counts *merge_counts(const struct merge *merge)
{
	return &merge->counts;
}

const struct part_info *merge_info(const struct merge *merge)
{
	return part_reader_info(merge->reader[0]);
}

unsigned int merge_part_count(const struct merge *merge)
{
	return merge->parts;
}

const struct part_info *merge_part_info(const struct merge *merge, unsigned int part)
{
	return part < merge->parts ? part_reader_info(merge->reader[part]) : NULL;
}

const char *merge_part_name(const struct merge *merge, unsigned int part)
{
	return part < merge->parts ? part_reader_name(merge->reader[part]) : NULL;
}

uint64_t merge_part_torn(const struct merge *merge, unsigned int part)
{
	return part < merge->parts ? part_reader_torn(merge->reader[part]) : 0;
}

uint64_t merge_frames(const struct merge *merge)
{
	return merge->frames;
}

const struct part_entry *merge_frame(const struct merge *merge, uint64_t frame,
				     const struct part_reader **ret_reader)
{
	if (frame >= merge->frames || merge->place[frame].part == NO_PART)
		return NULL;
	*ret_reader = merge->reader[merge->place[frame].part];
	return entry_at(merge, merge->place[frame]);
}
