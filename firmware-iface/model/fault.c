/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include <model/fault.h>

#include <stdio.h>
#include <string.h>

#include <base/error.h>
#include <base/parse.h>
#include <model/model.h>
#include <sluice/block.h>

/* What stands behind the '='. */
enum shape {
	SHAPE_FRAMES,         /* FRAMES */
	SHAPE_FRAME,          /* FRAME */
	SHAPE_FRAME_MAYBE_MS, /* FRAME[:MS] */
	SHAPE_FRAME_BYTES,    /* FRAME:BYTES, or as many blocks */
	SHAPE_HANG,           /* a command */
};

static const struct {
	const char *name;
	enum shape shape;
	unsigned int places; /* enum fault_place */
	const char *allowed;
} kinds[FAULT_KIND_COUNT] = {
	[FAULT_DROP] = { "drop", SHAPE_FRAMES, FAULT_STREAM | FAULT_CARD, "5,10-12 or every:N" },
	[FAULT_CORRUPT] = { "corrupt", SHAPE_FRAMES, FAULT_STREAM | FAULT_CARD,
			    "5,10-12 or every:N" },
	[FAULT_BADHEADER] = { "badheader", SHAPE_FRAMES, FAULT_STREAM | FAULT_CARD,
			      "5,10-12 or every:N" },
	[FAULT_DUPLICATE] = { "duplicate", SHAPE_FRAMES, FAULT_STREAM, "5,10-12 or every:N" },
	[FAULT_CUT] = { "cut", SHAPE_FRAME, FAULT_STREAM, "FRAME" },
	[FAULT_STALL] = { "stall", SHAPE_FRAME_MAYBE_MS, FAULT_STREAM | FAULT_CARD,
			  "FRAME or FRAME:MS, MS up to 3600000" },
	[FAULT_GARBAGE] = { "garbage", SHAPE_FRAME_BYTES, FAULT_STREAM,
			    "FRAME:BYTES, BYTES up to 1048576" },
	[FAULT_MISSING] = { "missing", SHAPE_FRAME_BYTES, FAULT_STREAM,
			    "FRAME:BYTES, BYTES up to 1048576" },
	[FAULT_LINK] = { "link", SHAPE_FRAME, FAULT_CARD, "FRAME" },
	[FAULT_JUMP] = { "jump", SHAPE_FRAME_BYTES, FAULT_CARD,
			 "FRAME:BLOCKS, BLOCKS up to 1048576" },
	[FAULT_LENGTH] = { "length", SHAPE_FRAMES, FAULT_CARD, "5,10-12 or every:N" },
	[FAULT_TWICE] = { "twice", SHAPE_FRAMES, FAULT_CARD, "5,10-12 or every:N" },
	[FAULT_LOST] = { "lost", SHAPE_FRAMES, FAULT_CARD, "5,10-12 or every:N" },
	[FAULT_SILENT] = { "silent", SHAPE_FRAMES, FAULT_CARD, "5,10-12 or every:N" },
	[FAULT_DMA] = { "dma", SHAPE_FRAMES, FAULT_CARD, "5,10-12 or every:N" },
	[FAULT_INTERNAL] = { "internal", SHAPE_FRAMES, FAULT_CARD, "5,10-12 or every:N" },
	[FAULT_DESCRIPTOR] = { "descriptor", SHAPE_FRAMES, FAULT_CARD, "5,10-12 or every:N" },
	[FAULT_GONE] = { "gone", SHAPE_FRAMES, FAULT_CARD, "5,10-12 or every:N" },
	[FAULT_HANG] = { "hang", SHAPE_HANG, FAULT_CARD, "stop or reset" },
};

static int parse_frame(const char *s, uint64_t *ret_frame)
{
	return parse_u64(s, 0, MODEL_FRAMES_MAX - 1, ret_frame);
}

static int push(struct fault_list *list, const struct fault_entry *entry)
{
	if (list->count == FAULT_ENTRIES_MAX)
		return -ENOSPC;
	list->entry[list->count++] = *entry;
	return 0;
}

static int add_every(struct fault_list *list, struct fault_entry entry, const char *count)
{
	const int ret = parse_u64(count, 1, MODEL_FRAMES_MAX, &entry.every);

	return ret < 0 ? ret : push(list, &entry);
}

/* "5,10-12": @text is taken apart. */
static int add_frames(struct fault_list *list, struct fault_entry entry, char *text)
{
	int ret;

	if (strncmp(text, "every:", 6) == 0)
		return add_every(list, entry, text + 6);
	for (char *item = text, *next; item; item = next) {
		char *last;

		next = strchr(item, ',');
		if (next)
			*next++ = '\0';
		last = strchr(item, '-');
		if (last)
			*last++ = '\0';
		ret = parse_frame(item, &entry.first);
		if (ret < 0)
			return ret;
		entry.last = entry.first;
		if (last)
			ret = parse_frame(last, &entry.last);
		if (ret < 0)
			return ret;
		if (entry.last < entry.first)
			return -ERANGE;
		ret = push(list, &entry);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* "FRAME" and what the shape allows behind it: @text is taken apart. */
static int add_frame(struct fault_list *list, struct fault_entry entry, char *text,
		     enum shape shape)
{
	const uint64_t max = shape == SHAPE_FRAME_BYTES ? FAULT_BYTES_MAX : FAULT_MS_MAX;
	char *behind = strchr(text, ':');
	uint64_t value = 0;
	int ret;

	if (behind)
		*behind++ = '\0';
	if (shape == SHAPE_FRAME ? behind != NULL : shape == SHAPE_FRAME_BYTES && !behind)
		return -EINVAL;
	ret = parse_frame(text, &entry.first);
	if (ret < 0)
		return ret;
	if (behind)
		ret = parse_u64(behind, 1, max, &value);
	if (ret < 0)
		return ret;
	entry.last = entry.first;
	entry.value = (uint32_t)value;
	return push(list, &entry);
}

static int add_hang(struct fault_list *list, struct fault_entry entry, const char *command)
{
	if (strcmp(command, "stop") == 0)
		entry.value = FAULT_HANG_STOP;
	else if (strcmp(command, "reset") == 0)
		entry.value = FAULT_HANG_RESET;
	else
		return -EINVAL;
	entry.last = UINT64_MAX;
	return push(list, &entry);
}

/* "drop, corrupt, ...". */
static void kind_names(char *dst, size_t size)
{
	size_t at = 0;

	for (unsigned int k = 0; k < FAULT_KIND_COUNT && at < size; k++)
		at += (size_t)snprintf(dst + at, size - at, "%s%s", k == 0 ? "" : ", ",
				       kinds[k].name);
}

static int find_kind(const char *name, enum fault_kind *ret_kind)
{
	for (unsigned int k = 0; k < FAULT_KIND_COUNT; k++) {
		if (strcmp(name, kinds[k].name) == 0) {
			*ret_kind = (enum fault_kind)k;
			return 0;
		}
	}
	return -EINVAL;
}

/* Takes "SECTOR/" off the front; *text is moved on. */
static int take_sector(char **text, int *ret_sector)
{
	char *slash = strchr(*text, '/');
	uint64_t sector;
	int ret;

	if (!slash) {
		*ret_sector = -1;
		return 0;
	}
	*slash = '\0';
	ret = parse_u64(*text, 0, SLUICE_SECTORS_MAX - 1, &sector);
	if (ret < 0)
		return ret;
	*ret_sector = (int)sector;
	*text = slash + 1;
	return 0;
}

int fault_add(struct fault_list *list, const char *order, struct sluice_error *reterr)
{
	const unsigned int count_before = list->count;
	struct fault_entry entry = { 0 };
	char copy[FAULT_TEXT_MAX];
	char *text = copy, *what, names[256];
	int ret;

	if (strlen(order) >= sizeof(copy))
		return error_set(reterr, -EINVAL, "fault: longer than %d bytes",
				 FAULT_TEXT_MAX - 1);
	memcpy(copy, order, strlen(order) + 1);
	what = strchr(text, '=');
	if (what)
		*what++ = '\0';
	ret = take_sector(&text, &entry.sector);
	if (ret < 0)
		return error_set(reterr, ret, "fault \"%s\": sector: allowed: 0 ... %d", order,
				 SLUICE_SECTORS_MAX - 1);
	if (!what || find_kind(text, &entry.kind) < 0) {
		kind_names(names, sizeof(names));
		return error_set(reterr, -EINVAL,
				 "fault \"%s\": allowed: [SECTOR/]KIND=..., KIND one of %s", order,
				 names);
	}
	if (kinds[entry.kind].shape == SHAPE_FRAMES)
		ret = add_frames(list, entry, what);
	else if (kinds[entry.kind].shape == SHAPE_HANG)
		ret = add_hang(list, entry, what);
	else
		ret = add_frame(list, entry, what, kinds[entry.kind].shape);
	if (ret == 0)
		return 0;
	list->count = count_before;
	if (ret == -ENOSPC)
		return error_set(reterr, ret, "fault \"%s\": more than %d frames and ranges", order,
				 FAULT_ENTRIES_MAX);
	return error_set(reterr, ret, "fault \"%s\": allowed: %s=%s; numbers 0 ... %d", order,
			 kinds[entry.kind].name, kinds[entry.kind].allowed, MODEL_FRAMES_MAX - 1);
}

int fault_fits(const struct fault_list *list, enum fault_place place, struct sluice_error *reterr)
{
	for (unsigned int i = 0; i < list->count; i++) {
		const enum fault_kind kind = list->entry[i].kind;

		if (!(kinds[kind].places & place))
			return error_set(reterr, -EINVAL, "fault %s: not of a %s", kinds[kind].name,
					 place == FAULT_CARD ? "card" : "socket or file");
	}
	return 0;
}

bool fault_at(const struct fault_list *list, enum fault_kind kind, uint16_t sector, uint64_t frame,
	      uint32_t *ret_value)
{
	uint32_t value = 0;
	bool found = false;

	for (unsigned int i = 0; i < list->count; i++) {
		const struct fault_entry *entry = &list->entry[i];

		if (entry->kind != kind || (entry->sector >= 0 && entry->sector != sector))
			continue;
		if (entry->every != 0 ? frame % entry->every != entry->every - 1
				      : frame < entry->first || frame > entry->last)
			continue;
		found = true;
		value += entry->value;
	}
	if (ret_value)
		*ret_value = value > FAULT_BYTES_MAX && kind != FAULT_STALL ? FAULT_BYTES_MAX
									    : value;
	return found;
}
