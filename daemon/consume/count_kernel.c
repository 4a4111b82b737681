/* SPDX-License-Identifier: MIT */
/*
 * The kernel, compiled once per set of instructions (see CMakeLists.txt).
 *
 * Nearly all pixels are background: four groups of pixels at a time are held against the
 * threshold with one branch. Only where one is above it are the groups looked at one by one, and
 * only candidates meet their neighbours.
 */
#include <stdbool.h>
#include <string.h>

#include <consume/count_kernel.h>

#if defined(__AVX2__) || defined(__AVX512BW__)
#include <immintrin.h>
#endif

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

enum {
	GROUP = COUNT_GROUP,
	STRIDE = 4 * GROUP, /* pixels per branch */
	STRIDE_F32 = 32,
};

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

#if defined(__AVX512BW__)

static inline bool any_candidate(const uint8_t *p, uint32_t lo)
{
	const __m512i a = _mm512_max_epu16(_mm512_loadu_si512(p), _mm512_loadu_si512(p + 64));
	const __m512i b = _mm512_max_epu16(_mm512_loadu_si512(p + 128),
					   _mm512_loadu_si512(p + 192));

	return _mm512_cmpge_epu16_mask(_mm512_max_epu16(a, b), _mm512_set1_epi16((short)lo)) != 0;
}

static inline uint32_t group_candidates(const uint8_t *p, uint32_t lo)
{
	return _mm512_cmpge_epu16_mask(_mm512_loadu_si512(p), _mm512_set1_epi16((short)lo));
}

#elif defined(__AVX2__)

static inline __m256i load(const uint8_t *p)
{
	return _mm256_loadu_si256((const __m256i_u *)p);
}

static inline bool any_candidate(const uint8_t *p, uint32_t lo)
{
	const __m256i a = _mm256_max_epu16(load(p), load(p + 32));
	const __m256i b = _mm256_max_epu16(load(p + 64), load(p + 96));
	const __m256i above = _mm256_subs_epu16(_mm256_max_epu16(a, b),
						_mm256_set1_epi16((short)(lo - 1)));

	return !_mm256_testz_si256(above, above);
}

static inline uint32_t group_candidates(const uint8_t *p, uint32_t lo)
{
	const __m256i above = _mm256_subs_epu16(load(p), _mm256_set1_epi16((short)(lo - 1)));
	const __m256i below = _mm256_cmpeq_epi16(above, _mm256_setzero_si256());
	/* Saturating to bytes keeps the lanes' halves apart: put the quarters in order again. */
	const __m256i bytes = _mm256_permute4x64_epi64(
		_mm256_packs_epi16(below, _mm256_setzero_si256()), _MM_SHUFFLE(3, 1, 2, 0));

	return ~(uint32_t)_mm256_movemask_epi8(bytes) & 0xffffu;
}

#else

typedef uint16_t group_vector __attribute__((vector_size(2 * COUNT_GROUP)));

static inline bool any_candidate(const uint8_t *p, uint32_t lo)
{
	group_vector v, above = { 0 };
	uint64_t word[sizeof(above) / 8], any = 0;

	for (size_t i = 0; i < 4; i++) {
		memcpy(&v, p + i * sizeof(v), sizeof(v));
		above |= (group_vector)(v >= (uint16_t)lo);
	}
	memcpy(word, &above, sizeof(word));
	for (size_t i = 0; i < sizeof(word) / sizeof(word[0]); i++)
		any |= word[i];
	return any != 0;
}

static inline uint32_t group_candidates(const uint8_t *p, uint32_t lo)
{
	uint32_t bits = 0;

	for (uint32_t i = 0; i < GROUP; i++)
		bits |= (uint32_t)(pixel_at(p, i) >= lo) << i;
	return bits;
}

#endif

/*
 * Whether the neighbour at @column stops a pixel of value @v: it is in the window and not
 * smaller. One comparison: below @v the difference wraps and is large.
 */
static inline bool stops(const uint8_t *row, uint32_t column, uint32_t v, uint32_t room)
{
	return pixel_at(row, column) - v < room;
}

/* Whether one of the row's pixels beside and at @column stops @v. */
static inline bool row_stops(const struct count_row_u16 *row, const uint8_t *other, uint32_t column,
			     uint32_t v)
{
	const uint32_t room = row->hi - v;

	if (!other)
		return false;
	return stops(other, column, v, room) || (column > 0 && stops(other, column - 1, v, room)) ||
	       (column + 1 < row->columns && stops(other, column + 1, v, room));
}

static inline void candidate_u16(const struct count_row_u16 *row, uint32_t column,
				 struct count_sink *sink)
{
	const uint32_t v = pixel_at(row->here, column);

	if (v >= row->hi)
		return;
	if (column > 0 && stops(row->here, column - 1, v, row->hi - v))
		return;
	if (column + 1 < row->columns && stops(row->here, column + 1, v, row->hi - v))
		return;
	if (row_stops(row, row->above, column, v) || row_stops(row, row->below, column, v))
		return;
	sink_put(sink, row->base + column);
}

static void row_u16(const struct count_row_u16 *row, struct count_sink *sink)
{
	uint32_t column = 0;

	while (column + GROUP <= row->columns) {
		const uint8_t *p = row->here + 2 * (size_t)column;
		uint32_t bits;

		if (column + STRIDE <= row->columns && !any_candidate(p, row->lo)) {
			column += STRIDE;
			continue;
		}
		for (bits = group_candidates(p, row->lo); bits; bits &= bits - 1)
			candidate_u16(row, column + (uint32_t)__builtin_ctz(bits), sink);
		column += GROUP;
	}
	for (; column < row->columns; column++)
		if (pixel_at(row->here, column) >= row->lo)
			candidate_u16(row, column, sink);
}

static inline bool stops_f32(const float *row, uint32_t column, float v, float hi)
{
	return row[column] >= v && row[column] < hi;
}

static inline bool row_stops_f32(const struct count_row_f32 *row, const float *other,
				 uint32_t column, float v)
{
	if (!other)
		return false;
	return stops_f32(other, column, v, row->hi) ||
	       (column > 0 && stops_f32(other, column - 1, v, row->hi)) ||
	       (column + 1 < row->columns && stops_f32(other, column + 1, v, row->hi));
}

static inline void candidate_f32(const struct count_row_f32 *row, uint32_t column,
				 struct count_sink *sink)
{
	const float v = row->here[column];

	if (v < row->lo || v >= row->hi)
		return;
	if (column > 0 && stops_f32(row->here, column - 1, v, row->hi))
		return;
	if (column + 1 < row->columns && stops_f32(row->here, column + 1, v, row->hi))
		return;
	if (row_stops_f32(row, row->above, column, v) || row_stops_f32(row, row->below, column, v))
		return;
	sink_put(sink, row->base + column);
}

static void row_f32(const struct count_row_f32 *row, struct count_sink *sink)
{
	uint32_t column = 0;

	for (; column + STRIDE_F32 <= row->columns; column += STRIDE_F32) {
		uint32_t any = 0;

		for (uint32_t i = 0; i < STRIDE_F32; i++)
			any |= row->here[column + i] >= row->lo;
		for (uint32_t i = 0; any && i < STRIDE_F32; i++)
			candidate_f32(row, column + i, sink);
	}
	for (; column < row->columns; column++)
		candidate_f32(row, column, sink);
}

static void subtract(uint16_t *dst, const uint8_t *src, const uint16_t *dark, uint32_t columns)
{
	for (uint32_t i = 0; i < columns; i++)
		dst[i] = (uint16_t)(pixel_at(src, i) - dark[i]);
}

static void scale(float *dst, const uint8_t *src, const uint16_t *dark, const float *gain,
		  uint32_t columns)
{
	if (!dark) {
		for (uint32_t i = 0; i < columns; i++)
			dst[i] = (float)pixel_at(src, i) * gain[i];
		return;
	}
	for (uint32_t i = 0; i < columns; i++)
		dst[i] = (float)(uint16_t)(pixel_at(src, i) - dark[i]) * gain[i];
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
