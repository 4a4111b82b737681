/* SPDX-License-Identifier: MIT */
#include <stdbool.h>
#include <stddef.h>

#include <support/reference.h>

/* Steps 1 and 2 of the rule. */
static double value_at(const struct reference_rule *rule, const uint16_t *pixels, uint32_t columns,
		       uint32_t row, uint32_t column)
{
	const size_t i = (size_t)row * columns + column;
	uint16_t pixel = pixels[i];
	double value;

	if (rule->sector_rows != 0 && !(rule->sector_mask >> (row / rule->sector_rows) & 1))
		return 0.0;
	if (rule->dark)
		pixel = (uint16_t)(pixel - rule->dark[i]);
	value = pixel;
	if (rule->gain) {
		const volatile float product = (float)pixel * rule->gain[i];

		value = product;
	}
	if (value <= rule->background || value >= rule->xray)
		return 0.0;
	return value;
}

uint32_t reference_count(const struct reference_rule *rule, const uint16_t *pixels, uint32_t rows,
			 uint32_t columns, uint32_t *events)
{
	uint32_t n = 0;

	for (uint32_t row = 0; row < rows; row++) {
		for (uint32_t column = 0; column < columns; column++) {
			const double here = value_at(rule, pixels, columns, row, column);
			bool event = true;

			for (int dr = -1; dr <= 1; dr++) {
				for (int dc = -1; dc <= 1; dc++) {
					const int64_t r = (int64_t)row + dr;
					const int64_t c = (int64_t)column + dc;

					if ((dr == 0 && dc == 0) || r < 0 || r >= rows || c < 0 ||
					    c >= columns)
						continue;
					if (here <= value_at(rule, pixels, columns, (uint32_t)r,
							     (uint32_t)c))
						event = false;
				}
			}
			if (event)
				events[n++] = row * columns + column;
		}
	}
	return n;
}
