/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * model/truth.h - the true events, written to a file: JSON, one object a line, each with "kind".
 *
 * {"kind":"model","schema_version":1,"generator":"camera","seed":S,"distinct":D,"rows":R,
 *  "columns":C}: rows and columns of a whole frame;
 * {"kind":"prepared","prepared":P,"electrons":[[row,column,counts],...],"xrays":[...]}: one per
 * prepared frame; counts are those of all its pixels together;
 * {"kind":"scan","scan":N,"scan_columns":X,"scan_rows":Y,"frames":F,"prepared":[p0,p1,...]}:
 * one per scan that was run: the prepared frame that stands for each frame.
 *
 * Ownership: truth_open() gives, truth_close() takes; the model must outlive it.
 * Threads:   truth_scan() from any; it locks. Errors: -errno of the file, with @reterr.
 */
#ifndef MODEL_TRUTH_H
#define MODEL_TRUTH_H

#include <stdint.h>

#include <model/model.h>

struct truth;

/* Writes all that is known before a scan; the file is made anew. */
int truth_open(const char *path, const struct model *model, struct truth **ret_truth,
	       struct sluice_error *reterr);
void truth_close(struct truth *truth);
/*
 * Adds scan @number, unless the last line is that already: all sectors of a scan may call this.
 * @truth may be NULL. The line is in the file when this returns.
 */
int truth_scan(struct truth *truth, uint32_t number, const struct model_scan *scan);

#endif /* MODEL_TRUTH_H */
