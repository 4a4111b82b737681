/* SPDX-License-Identifier: MIT */
/*
 * The kernel, compiled once per set of instructions (see CMakeLists.txt).
 *
 * Nearly all pixels are background. Four groups of pixels at a time are held against the
 * threshold, and the few groups that hold a candidate are noted; then each of these meets its
 * neighbours, all lanes at once. Where events are is random, so a branch on them is guessed wrong
 * as often as not: the lists are written without one. Groups at the ends of a row, where a
 * neighbour does not exist, go pixel by pixel.
 *
 * The logic is written once for vectors of COUNT_GROUP pixels; only three small things have a
 * form per instruction set.
 */
#include <stdbool.h>
#include <string.h>

#include <consume/count_kernel.h>
#include <sluice/block.h>

/* Pixels in a group, one bit of a uint32_t each. */
#ifndef COUNT_GROUP
#if defined(__AVX512BW__)
#define COUNT_GROUP 32
#elif defined(__AVX2__)
#define COUNT_GROUP 16
#else
#define COUNT_GROUP 8
#endif
#endif

#if defined(__SSE2__)
#include <immintrin.h>
#define COUNT_VECTOR_BITS (16 * COUNT_GROUP)
#else
#define COUNT_VECTOR_BITS 0 /* none of the special forms */
#endif

enum {
	GROUP = COUNT_GROUP,
	GROUP_F32 = COUNT_GROUP / 2,
	GROUPS = 4, /* per branch */
	VECTOR_BYTES = 2 * COUNT_GROUP,
	WORDS = VECTOR_BYTES / 8,
	NOTES_MAX = SLUICE_SIDE_MAX / GROUP_F32,
};

typedef uint16_t vector_u16 __attribute__((vector_size(2 * COUNT_GROUP)));
typedef float vector_f32 __attribute__((vector_size(2 * COUNT_GROUP)));
typedef int32_t vector_i32 __attribute__((vector_size(2 * COUNT_GROUP)));

/* Whether any bit is set in the vector at @v. */
static inline __attribute__((always_inline)) bool any_set(const void *v)
{
#if COUNT_VECTOR_BITS == 512 && defined(__AVX512BW__)
	const __m512i x = _mm512_loadu_si512(v);

	return _mm512_test_epi32_mask(x, x) != 0;
#elif COUNT_VECTOR_BITS == 256 && defined(__AVX2__)
	const __m256i x = _mm256_loadu_si256(v);

	return !_mm256_testz_si256(x, x);
#else
	uint64_t word[WORDS], any = 0;

	memcpy(word, v, sizeof(word));
	for (size_t i = 0; i < WORDS; i++)
		any |= word[i];
	return any != 0;
#endif
}

/* *acc |= a - b, saturating: afterwards a lane is not 0 if its a is greater than its b. */
static inline __attribute__((always_inline)) void add_excess(vector_u16 *acc, const vector_u16 *a,
							     const vector_u16 *b)
{
#if COUNT_VECTOR_BITS == 512 && defined(__AVX512BW__)
	*acc |= (vector_u16)_mm512_subs_epu16((__m512i)*a, (__m512i)*b);
#elif COUNT_VECTOR_BITS == 256 && defined(__AVX2__)
	*acc |= (vector_u16)_mm256_subs_epu16((__m256i)*a, (__m256i)*b);
#elif COUNT_VECTOR_BITS == 128
	*acc |= (vector_u16)_mm_subs_epu16((__m128i)*a, (__m128i)*b);
#else
	*acc |= (vector_u16)(*a > *b);
#endif
}

/* Which of the GROUP lanes at @v, all bits or none, are set. */
static inline __attribute__((always_inline)) uint32_t lanes_u16(const void *v)
{
#if COUNT_VECTOR_BITS == 512 && defined(__AVX512BW__)
	return _mm512_movepi16_mask(_mm512_loadu_si512(v));
#elif COUNT_VECTOR_BITS == 256 && defined(__AVX2__)
	/* Packing to bytes keeps the halves apart: put the quarters in order again. */
	const __m256i bytes = _mm256_packs_epi16(_mm256_loadu_si256(v), _mm256_setzero_si256());

	return (uint32_t)_mm256_movemask_epi8(
		_mm256_permute4x64_epi64(bytes, _MM_SHUFFLE(3, 1, 2, 0)));
#elif COUNT_VECTOR_BITS == 128
	return (uint32_t)_mm_movemask_epi8(
		_mm_packs_epi16(_mm_loadu_si128(v), _mm_setzero_si128()));
#else
	uint16_t lane[GROUP];
	uint32_t bits = 0;

	memcpy(lane, v, sizeof(lane));
	for (uint32_t i = 0; i < GROUP; i++)
		bits |= (uint32_t)(lane[i] & 1) << i;
	return bits;
#endif
}

/* Which of the GROUP_F32 lanes at @v, all bits or none, are set. */
static inline __attribute__((always_inline)) uint32_t lanes_f32(const void *v)
{
#if COUNT_VECTOR_BITS == 512 && defined(__AVX512BW__)
	const __m512i x = _mm512_loadu_si512(v);

	return _mm512_test_epi32_mask(x, x);
#elif COUNT_VECTOR_BITS == 256 && defined(__AVX2__)
	return (uint32_t)_mm256_movemask_ps(_mm256_loadu_ps(v));
#elif COUNT_VECTOR_BITS == 128
	return (uint32_t)_mm_movemask_ps(_mm_loadu_ps(v));
#else
	uint32_t lane[GROUP_F32], bits = 0;

	memcpy(lane, v, sizeof(lane));
	for (uint32_t i = 0; i < GROUP_F32; i++)
		bits |= (lane[i] & 1) << i;
	return bits;
#endif
}

static inline uint32_t pixel_at(const uint8_t *row, uint32_t column)
{
	uint16_t v;

	memcpy(&v, row + 2 * (size_t)column, sizeof(v));
	return v;
}

static inline void sink_put(struct count_sink *sink, uint32_t index)
{
	if (sink->found < sink->max)
		sink->events[sink->found] = index;
	sink->found++;
}

static inline void sink_put_lanes(struct count_sink *sink, uint32_t index, uint32_t lanes)
{
	if (sink->found + GROUP <= sink->max) {
		/* None or one is the rule: write one in any case, and count it if it was one. */
		sink->events[sink->found] = index + (uint32_t)__builtin_ctz(lanes | 1u << 31);
		sink->found += lanes != 0;
		lanes &= lanes - 1;
	}
	for (; lanes; lanes &= lanes - 1)
		sink_put(sink, index + (uint32_t)__builtin_ctz(lanes));
}

/* --- pixels as they come: uint16 --- */

static inline bool any_candidate(const uint8_t *p, const vector_u16 *below, uint32_t groups)
{
	vector_u16 v, acc = { 0 };

	for (uint32_t g = 0; g < groups; g++) {
		memcpy(&v, p + (size_t)g * VECTOR_BYTES, sizeof(v));
		add_excess(&acc, &v, below);
	}
	return any_set(&acc);
}

/* First columns of the whole groups that hold a candidate. Returns how many. */
static inline uint32_t note_groups(const struct count_row_u16 *row, uint32_t *notes)
{
	const vector_u16 below = (vector_u16){ 0 } + (uint16_t)(row->lo - 1);
	const uint32_t end = row->columns - row->columns % GROUP;
	uint32_t strides[NOTES_MAX / GROUPS], column = 0, hits = 0, n = 0;

	for (; column + GROUPS * GROUP <= end; column += GROUPS * GROUP) {
		strides[hits] = column;
		hits += any_candidate(row->here + 2 * (size_t)column, &below, GROUPS);
	}
	for (uint32_t i = 0; i < hits; i++) {
		for (uint32_t g = 0; g < GROUPS; g++) {
			const uint32_t at = strides[i] + g * GROUP;

			notes[n] = at;
			n += any_candidate(row->here + 2 * (size_t)at, &below, 1);
		}
	}
	for (; column < end; column += GROUP) {
		notes[n] = column;
		n += any_candidate(row->here + 2 * (size_t)column, &below, 1);
	}
	return n;
}

/*
 * Whether the neighbour at @column stops a pixel of value @v: it is in the window and not
 * smaller. One comparison: below @v the difference wraps and is large.
 */
static inline bool stops(const uint8_t *row, uint32_t column, uint32_t v, uint32_t room)
{
	return pixel_at(row, column) - v < room;
}

static inline void pixel_u16(const struct count_row_u16 *row, uint32_t column,
			     struct count_sink *sink)
{
	const uint32_t v = pixel_at(row->here, column), room = row->hi - v;

	if (v < row->lo || v >= row->hi)
		return;
	if (stops(row->above, column, v, room) || stops(row->below, column, v, room))
		return;
	if (column > 0 &&
	    (stops(row->above, column - 1, v, room) || stops(row->here, column - 1, v, room) ||
	     stops(row->below, column - 1, v, room)))
		return;
	if (column + 1 < row->columns &&
	    (stops(row->above, column + 1, v, room) || stops(row->here, column + 1, v, room) ||
	     stops(row->below, column + 1, v, room)))
		return;
	sink_put(sink, row->base + column);
}

/* Marks in @acc the lanes of @v that the neighbours at @p stop: as stops(), in 16 bits. */
static inline __attribute__((always_inline)) void meet(vector_u16 *acc, const vector_u16 *v,
						       const vector_u16 *room, const uint8_t *p)
{
	vector_u16 n;

	memcpy(&n, p, sizeof(n));
	n -= *v;
	add_excess(acc, room, &n);
}

static inline void group_u16(const struct count_row_u16 *row, uint32_t column,
			     struct count_sink *sink)
{
	const size_t at = 2 * (size_t)column;
	const vector_u16 lo = (vector_u16){ 0 } + (uint16_t)row->lo;
	const vector_u16 last = (vector_u16){ 0 } + (uint16_t)(row->hi - 1);
	vector_u16 v, room, acc = { 0 };

	if (column == 0 || column + GROUP >= row->columns) {
		for (uint32_t i = 0; i < GROUP; i++)
			pixel_u16(row, column + i, sink);
		return;
	}
	memcpy(&v, row->here + at, sizeof(v));
	room = last - v + 1;
	add_excess(&acc, &lo, &v);
	add_excess(&acc, &v, &last);
	meet(&acc, &v, &room, row->here + at - 2);
	meet(&acc, &v, &room, row->here + at + 2);
	for (int d = -2; d <= 2; d += 2) {
		meet(&acc, &v, &room, row->above + at + d);
		meet(&acc, &v, &room, row->below + at + d);
	}
	acc = (vector_u16)(acc == 0);
	sink_put_lanes(sink, row->base + column, lanes_u16(&acc));
}

static void row_u16(const struct count_row_u16 *row, struct count_sink *sink)
{
	uint32_t notes[NOTES_MAX + 1];
	const uint32_t n = note_groups(row, notes);

	for (uint32_t i = 0; i < n; i++)
		group_u16(row, notes[i], sink);
	for (uint32_t c = row->columns - row->columns % GROUP; c < row->columns; c++)
		pixel_u16(row, c, sink);
}

/* --- corrected values: float, those outside the window 0 already --- */

static inline bool any_candidate_f32(const float *p, float lo, uint32_t groups)
{
	vector_i32 acc = { 0 };
	vector_f32 v;

	for (uint32_t g = 0; g < groups; g++) {
		memcpy(&v, p + (size_t)g * GROUP_F32, sizeof(v));
		acc |= v >= lo;
	}
	return any_set(&acc);
}

static inline uint32_t note_groups_f32(const struct count_row_f32 *row, uint32_t *notes)
{
	const uint32_t end = row->columns - row->columns % GROUP_F32;
	uint32_t strides[NOTES_MAX / GROUPS], column = 0, hits = 0, n = 0;

	for (; column + GROUPS * GROUP_F32 <= end; column += GROUPS * GROUP_F32) {
		strides[hits] = column;
		hits += any_candidate_f32(row->here + column, row->lo, GROUPS);
	}
	for (uint32_t i = 0; i < hits; i++) {
		for (uint32_t g = 0; g < GROUPS; g++) {
			notes[n] = strides[i] + g * GROUP_F32;
			n += any_candidate_f32(row->here + notes[n], row->lo, 1);
		}
	}
	for (; column < end; column += GROUP_F32) {
		notes[n] = column;
		n += any_candidate_f32(row->here + column, row->lo, 1);
	}
	return n;
}

static inline void pixel_f32(const struct count_row_f32 *row, uint32_t column,
			     struct count_sink *sink)
{
	const float *a = row->above + column, *h = row->here + column, *b = row->below + column;
	const float v = *h;

	if (v < row->lo || *a >= v || *b >= v)
		return;
	if (column > 0 && (a[-1] >= v || h[-1] >= v || b[-1] >= v))
		return;
	if (column + 1 < row->columns && (a[1] >= v || h[1] >= v || b[1] >= v))
		return;
	sink_put(sink, row->base + column);
}

static inline __attribute__((always_inline)) void meet_f32(vector_i32 *stopped, const vector_f32 *v,
							   const float *p)
{
	vector_f32 n;

	memcpy(&n, p, sizeof(n));
	*stopped |= n >= *v;
}

static inline void group_f32(const struct count_row_f32 *row, uint32_t column,
			     struct count_sink *sink)
{
	vector_i32 stopped;
	vector_f32 v;

	if (column == 0 || column + GROUP_F32 >= row->columns) {
		for (uint32_t i = 0; i < GROUP_F32; i++)
			pixel_f32(row, column + i, sink);
		return;
	}
	memcpy(&v, row->here + column, sizeof(v));
	stopped = v < row->lo;
	meet_f32(&stopped, &v, row->here + column - 1);
	meet_f32(&stopped, &v, row->here + column + 1);
	for (int d = -1; d <= 1; d++) {
		meet_f32(&stopped, &v, row->above + column + d);
		meet_f32(&stopped, &v, row->below + column + d);
	}
	stopped = ~stopped;
	sink_put_lanes(sink, row->base + column, lanes_f32(&stopped));
}

static void row_f32(const struct count_row_f32 *row, struct count_sink *sink)
{
	uint32_t notes[NOTES_MAX + 1];
	const uint32_t n = note_groups_f32(row, notes);

	for (uint32_t i = 0; i < n; i++)
		group_f32(row, notes[i], sink);
	for (uint32_t c = row->columns - row->columns % GROUP_F32; c < row->columns; c++)
		pixel_f32(row, c, sink);
}

/* --- correction --- */

static void subtract(uint16_t *restrict dst, const uint8_t *restrict src,
		     const uint16_t *restrict dark, uint32_t columns)
{
	for (uint32_t i = 0; i < columns; i++)
		dst[i] = (uint16_t)(pixel_at(src, i) - dark[i]);
}

static inline float scaled(uint16_t pixel, float gain, float hi)
{
	const float v = (float)pixel * gain;

	return v < hi ? v : 0.0f;
}

static void scale(const struct count_scale *s, uint32_t columns, float *restrict dst)
{
	const uint8_t *restrict src = s->src;
	const uint16_t *restrict dark = s->dark;
	const float *restrict gain = s->gain;
	const float hi = s->hi;

	if (!dark) {
		for (uint32_t i = 0; i < columns; i++)
			dst[i] = scaled((uint16_t)pixel_at(src, i), gain[i], hi);
		return;
	}
	for (uint32_t i = 0; i < columns; i++)
		dst[i] = scaled((uint16_t)(pixel_at(src, i) - dark[i]), gain[i], hi);
}

#define NAME_TEXT(name)     #name
#define NAME_STRING(name)   NAME_TEXT(name)
#define NAME_JOIN(name)     count_kernel_##name
#define NAME_VARIABLE(name) NAME_JOIN(name)

const struct count_kernel NAME_VARIABLE(COUNT_KERNEL) = {
	.name = NAME_STRING(COUNT_KERNEL),
	.row_u16 = row_u16,
	.row_f32 = row_f32,
	.subtract = subtract,
	.scale = scale,
};
