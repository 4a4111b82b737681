/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <math.h>
#include <string.h>

#include <base/crc32c.h>
#include <base/error.h>
#include <consume/part_format.h>

uint64_t part_frames(const struct part_info *info)
{
	return (uint64_t)info->scan.scan_columns * info->scan.scan_rows *
	       info->scan.frames_per_position;
}

size_t part_frame_bytes(const struct part_info *info)
{
	const struct sluice_geometry *g = &info->scan.geometry;

	return (size_t)sluice_frame_rows(g) * sluice_frame_columns(g) *
	       sluice_pixel_bytes(info->pixel);
}

static bool name_ok(const char name[SLUICE_WIRE_NAME_MAX])
{
	const size_t len = strnlen(name, SLUICE_WIRE_NAME_MAX);

	for (size_t i = 0; i < len; i++)
		if (!isprint((unsigned char)name[i]))
			return false;
	return len > 0 && len < SLUICE_WIRE_NAME_MAX;
}

static int check_scan(const struct sluice_scan *scan, struct sluice_error *reterr)
{
	if (!sluice_geometry_ok(&scan->geometry))
		return error_set(reterr, -EINVAL, "geometry of %u sectors of %u x %u pixels",
				 scan->geometry.sectors, scan->geometry.rows,
				 scan->geometry.columns);
	if (scan->scan_columns == 0 || scan->scan_columns > UINT16_MAX || scan->scan_rows == 0 ||
	    scan->scan_rows > UINT16_MAX || scan->frames_per_position == 0)
		return error_set(reterr, -EINVAL,
				 "scan of %u x %u positions, %u frames each; allowed: 1 to 65535, "
				 "at least 1",
				 scan->scan_columns, scan->scan_rows, scan->frames_per_position);
	if (scan->run_frames == 0 || scan->run_frames > SLUICE_WIRE_RUN_FRAMES_MAX)
		return error_set(reterr, -EINVAL, "runs of %u frames; allowed: 1 to %u",
				 scan->run_frames, (unsigned int)SLUICE_WIRE_RUN_FRAMES_MAX);
	return 0;
}

int part_info_check(const struct part_info *info, struct sluice_error *reterr)
{
	const struct sluice_scan *scan = &info->scan;
	int ret = check_scan(scan, reterr);

	if (ret < 0)
		return ret;
	/* In doubles: the product of three 32-bit numbers can pass 64 bits. */
	if ((double)scan->scan_columns * scan->scan_rows * scan->frames_per_position >
	    (double)PART_FRAMES_MAX)
		return error_set(reterr, -EINVAL, "scan of more than %u frames",
				 (unsigned int)PART_FRAMES_MAX);
	if (scan->frames_expected == 0 || scan->frames_expected > part_frames(info))
		return error_set(reterr, -EINVAL, "%lu frames expected; allowed: 1 to %lu",
				 (unsigned long)scan->frames_expected,
				 (unsigned long)part_frames(info));
	if (info->pixel > SLUICE_PIXEL_U32)
		return error_set(reterr, -EINVAL, "recorded pixels of type %u", info->pixel);
	if (!name_ok(info->consumer))
		return error_set(reterr, -EINVAL, "a consumer's name that is none");
	if (isnan(info->threshold.background) || isnan(info->threshold.xray))
		return error_set(reterr, -EINVAL, "a threshold that is not a number");
	return 0;
}

static struct sluice_le64 le_double(double v)
{
	uint64_t bits;

	memcpy(&bits, &v, sizeof(bits));
	return sluice_le64(bits);
}

static double double_le(struct sluice_le64 le)
{
	const uint64_t bits = sluice_u64(le);
	double v;

	memcpy(&v, &bits, sizeof(v));
	return v;
}

static void encode_threshold(const struct threshold *t, struct part_header *h)
{
	h->calculated = sluice_le32(t->calculated);
	h->samples = sluice_le32(t->samples);
	h->bins = sluice_le32(t->bins);
	h->seed = sluice_le64(t->seed);
	h->background = le_double(t->background);
	h->xray = le_double(t->xray);
	h->min = le_double(t->min);
	h->max = le_double(t->max);
	h->mean = le_double(t->mean);
	h->variance = le_double(t->variance);
	h->std_dev = le_double(t->std_dev);
	h->xray_n_sigma = le_double(t->xray_n_sigma);
	h->background_n_sigma = le_double(t->background_n_sigma);
	h->optimized_mean = le_double(t->optimized_mean);
	h->optimized_std_dev = le_double(t->optimized_std_dev);
}

static struct threshold decode_threshold(const struct part_header *h)
{
	return (struct threshold){
		.calculated = sluice_u32(h->calculated) != 0,
		.samples = sluice_u32(h->samples),
		.bins = sluice_u32(h->bins),
		.seed = sluice_u64(h->seed),
		.background = double_le(h->background),
		.xray = double_le(h->xray),
		.min = double_le(h->min),
		.max = double_le(h->max),
		.mean = double_le(h->mean),
		.variance = double_le(h->variance),
		.std_dev = double_le(h->std_dev),
		.xray_n_sigma = double_le(h->xray_n_sigma),
		.background_n_sigma = double_le(h->background_n_sigma),
		.optimized_mean = double_le(h->optimized_mean),
		.optimized_std_dev = double_le(h->optimized_std_dev),
	};
}

void part_header_encode(const struct part_info *info, struct part_header *ret_header)
{
	const struct sluice_scan *scan = &info->scan;
	struct part_header h = {
		.magic = sluice_le64(PART_MAGIC),
		.version = sluice_le16(PART_VERSION),
		.header_bytes = sluice_le16(sizeof(h)),
		.scan = sluice_le32(scan->scan),
		.frames_expected = sluice_le64(scan->frames_expected),
		.scan_columns = sluice_le32(scan->scan_columns),
		.scan_rows = sluice_le32(scan->scan_rows),
		.frames_per_position = sluice_le32(scan->frames_per_position),
		.run_frames = sluice_le32(scan->run_frames),
		.sectors = sluice_le16(scan->geometry.sectors),
		.layout = sluice_le16(scan->geometry.layout),
		.rows = sluice_le16(scan->geometry.rows),
		.columns = sluice_le16(scan->geometry.columns),
		.pixel = sluice_le16(scan->geometry.pixel),
		.recorded_pixel = sluice_le16(info->pixel),
	};

	encode_threshold(&info->threshold, &h);
	memcpy(h.consumer, info->consumer, sizeof(h.consumer));
	h.header_crc = sluice_le32(crc32c(&h, offsetof(struct part_header, header_crc)));
	*ret_header = h;
}

int part_header_decode(const struct part_header *header, struct part_info *ret_info,
		       struct sluice_error *reterr)
{
	struct part_info info = {
		.scan = {
			.scan = sluice_u32(header->scan),
			.scan_columns = sluice_u32(header->scan_columns),
			.scan_rows = sluice_u32(header->scan_rows),
			.frames_per_position = sluice_u32(header->frames_per_position),
			.run_frames = sluice_u32(header->run_frames),
			.frames_expected = sluice_u64(header->frames_expected),
			.geometry = {
				.sectors = sluice_u16(header->sectors),
				.layout = sluice_u16(header->layout),
				.rows = sluice_u16(header->rows),
				.columns = sluice_u16(header->columns),
				.pixel = sluice_u16(header->pixel),
			},
		},
		.pixel = sluice_u16(header->recorded_pixel),
		.threshold = decode_threshold(header),
	};

	if (sluice_u64(header->magic) != PART_MAGIC)
		return error_set(reterr, -EBADMSG, "not a part of a scan");
	if (sluice_u16(header->version) != PART_VERSION ||
	    sluice_u16(header->header_bytes) != sizeof(*header))
		return error_set(reterr, -EBADMSG, "a part of version %u; known: %u",
				 sluice_u16(header->version), (unsigned int)PART_VERSION);
	if (sluice_u32(header->header_crc) !=
	    crc32c(header, offsetof(struct part_header, header_crc)))
		return error_set(reterr, -EBADMSG, "its header's CRC does not hold");
	memcpy(info.consumer, header->consumer, sizeof(info.consumer));
	if (part_info_check(&info, reterr) < 0)
		return error_prefix(reterr, -EBADMSG, "its header says");
	*ret_info = info;
	return 0;
}
