/* SPDX-License-Identifier: MIT */
/*
 * consume/counter.h - the inside of sluice-counter.
 *
 *   next() -> thresholds known? -> count, frame by frame -> append to the part -> ack()
 *                    | no
 *                    +-> of a sample run: sampled, fitted, shared     any run: parked until then
 *
 * Ownership: a run belongs to one worker, or is parked in its scan.
 * Threads:   workers are alike. @lock of the counter guards the table of scans, what is parked and
 *            the state of thresholds; @part_lock of a scan its part. Thresholds are constant once
 *            known. A worker's own things are its own.
 * Errors:    0 or -errno. What a scan cannot do without stops the program: counter_fail().
 */
#ifndef CONSUME_COUNTER_H
#define CONSUME_COUNTER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <consume/count.h>
#include <consume/counter_config.h>
#include <consume/part.h>
#include <consume/threshold.h>
#include <sluice/consumer.h>

/* Parked runs wait so long for thresholds: longer than the first run may take to be given up. */
#define THRESHOLDS_KNOWN_NS (UINT64_C(30) * 1000000000)

/* Sample runs are waited for so long from the first one on; then thresholds are fitted without. */
#define SAMPLES_KNOWN_NS (UINT64_C(20) * 1000000000)

/* The half of the ledger is tried to be published for so long, once its scan has ended. */
#define HALF_PUBLISHED_NS (UINT64_C(60) * 1000000000)

enum {
	COUNTER_SCANS_MAX = 4, /* that overlap; as many as the library has */
	PARTS_PER_SCAN_MAX = 100,
	SAMPLE_RUNS_MAX = THRESHOLD_SAMPLES,
};

enum thresholds_state {
	THRESHOLDS_UNKNOWN = 0,
	THRESHOLDS_KNOWN,
	THRESHOLDS_FAILED,
};

/* What one run has of the sample frames. */
struct counter_sample {
	char *text;          /* JSON, as it is shared: a histogram; NULL: not known yet */
	unsigned int frames; /* that it is of */
	bool complete;       /* they are whole; else there was no whole one */
	bool own, told;      /* the run is here; and what it has is shared */
};

struct counter_scan {
	uint32_t scan; /* 0: unused */
	struct sluice_scan info;
	uint64_t serial; /* counts scans: tells two of the same number apart */
	enum thresholds_state thresholds;
	struct threshold threshold;
	char *offer; /* JSON that is still to be shared, or NULL */
	struct counter_sample sample[SAMPLE_RUNS_MAX]; /* by run */
	uint64_t sampled_ns;  /* until when others are waited for; 0: no sample run came here */
	bool no_samples;      /* the sample frames have no pixel: any run serves for a fit */
	bool looking;         /* one worker asks for thresholds */
	uint64_t look_ns;     /* not before this again */
	uint64_t deadline_ns; /* then they must be known, if a run is parked */
	struct sluice_run **parked;
	unsigned int parked_count, parked_max;
	pthread_mutex_t part_lock;
	struct part_writer *part;
	char path[2 * COUNTER_PATH_MAX];
};

/* A scan that has ended, and whose half of the ledger could not be published yet. */
struct counter_half {
	uint32_t scan; /* 0: unused */
	bool busy;     /* one worker tries now */
	uint64_t due_ns, deadline_ns;
	char path[2 * COUNTER_PATH_MAX]; /* of its part, "" if there is none */
};

struct counter {
	struct counter_config config;
	char output[COUNTER_PATH_MAX]; /* absolute */
	struct sluice_consumer *consumer;
	const struct count_kernel *kernel;
	uint16_t *dark; /* NULL: none */
	float *gain;
	uint64_t dark_pixels, gain_pixels;
	atomic_bool failed;
	_Atomic uint64_t frames, events;

	pthread_mutex_t lock;
	struct counter_scan scan[COUNTER_SCANS_MAX];
	struct counter_half half[COUNTER_SCANS_MAX];
	uint64_t serial;
	unsigned int ended; /* workers */
	pthread_cond_t ended_cond;
};

/* What one worker needs for the scan it works on. */
struct counter_worker {
	struct counter *counter;
	pthread_t thread;
	uint64_t serial; /* of the scan that this is for; 0: none yet */
	struct count_rule_compiled *rule;
	uint16_t *assembled; /* frame whose rows do not lie in one piece, or not as host uint16 */
	const void **row;
	uint32_t *events;
	size_t events_max;
	uint8_t *pixels; /* of a run, recorded */
	struct part_frame *frame;
};

/* Says why once, and makes the program end with a failure. */
void counter_fail(struct counter *counter, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* counter_scan.c */

/* The scan of this run; new with its first. NULL: COUNTER_SCANS_MAX scans are there. */
struct counter_scan *counter_scan_of(struct counter *counter, const struct sluice_run *run);
/* Every run was acknowledged: makes the part safe, and has the half of the ledger published. */
void counter_scan_end(struct counter *counter, uint32_t scan);
/* The program ends: runs that are parked go back, parts are closed. */
void counter_scans_close(struct counter *counter);
/* Keeps the run until thresholds are known. */
int counter_scan_park(struct counter *counter, struct counter_scan *scan, struct sluice_run *run);
/* A parked run that waits no more: its thresholds are known, or never will be. NULL: none. */
struct sluice_run *counter_scan_unpark(struct counter *counter);
/* Appends the run's frames to the scan's part, which is made when it is not there. */
int counter_scan_write(struct counter *counter, struct counter_scan *scan, uint64_t run,
		       const struct part_frame *frames, unsigned int count);
/* How pixels of such a scan are recorded: host order. */
uint16_t counter_record_pixel(const struct sluice_scan *info);

/* counter_fit.c */

/* Those that were given are known from the first run on. */
enum thresholds_state counter_thresholds_state(struct counter *counter, struct counter_scan *scan);
/* Fits thresholds to frames of @run alone, to be shared by counter_thresholds_look(). */
void counter_thresholds_fit(struct counter_worker *worker, struct counter_scan *scan,
			    struct sluice_run *run);
/* Looks whether thresholds are there for the scans that wait. Returns how many go on waiting. */
unsigned int counter_thresholds_look(struct counter_worker *worker);
/* Whether any frame of the run has pixels. Checks their CRC on the way. */
bool counter_run_has_pixels(struct sluice_run *run);
/* Whether this consumer is to fit to whatever run it has, as the sample frames have no pixel. */
bool counter_thresholds_fit_here(struct counter *counter, const struct counter_scan *scan);

/* counter_sample.c */

/* Frames of a run, by their index in it. */
struct counter_choice {
	unsigned int count, index[THRESHOLD_SAMPLES];
};

/* A scan as it was found; by now its slot may serve another. */
struct counter_look {
	struct counter_scan *slot;
	uint64_t serial;
	struct sluice_scan info;
	char *offer; /* to be shared, or NULL */
	bool no_samples;
};

enum sample_state {
	SAMPLES_MISSING, /* wait */
	SAMPLES_OURS,    /* it is for this consumer to fit */
	SAMPLES_OTHERS,
	SAMPLES_EMPTY, /* no sample frame has a pixel */
	SAMPLES_BAD,   /* what another shared is none */
};

/* How many runs hold the sample frames: the first ones of the scan. */
unsigned int counter_sample_runs(const struct sluice_scan *info);
/* Notes what the run has of the sample frames, if it is one of those. -ENOMEM. */
int counter_sample_take(struct counter_worker *worker, struct counter_scan *scan,
			struct sluice_run *run);
/* Adds the frames that are complete, or else all that have pixels. Returns how many, or -errno. */
int counter_sample_add(struct counter_worker *worker, const struct counter_scan *scan,
		       struct sluice_run *run, const struct counter_choice *choice, bool complete,
		       struct threshold_sampler *sampler);
/*
 * Shares what came here and looks for the rest: one worker at a time. *ret_complete: there are
 * whole frames, so that those alone serve.
 */
enum sample_state counter_sample_look(struct counter *c, const struct counter_look *what,
				      bool *ret_complete, struct sluice_error *reterr);
/* The fit to all that is known. -ENODATA, -EDOM: as threshold_sampler_fit(). -EBADMSG, -ENOMEM. */
int counter_sample_fit(struct counter *c, const struct counter_look *what, bool complete,
		       struct threshold *ret_threshold, struct sluice_error *reterr);
/* The scan is over. */
void counter_sample_free(struct counter_scan *scan);

/* counter_half.c */

/* The scan has ended, and its part at @path ("": there is none) is safe. */
void counter_half_publish(struct counter *counter, uint32_t scan, const char *path);
/* Tries again what could not be published, each at most once a second. */
void counter_halves_retry(struct counter *counter);
/* The program ends: what is not published is named. */
void counter_halves_close(struct counter *counter);

/* counter_frame.c */

/* Room for frames of this scan. */
int counter_worker_setup(struct counter_worker *worker, const struct counter_scan *scan);
void counter_worker_clear(struct counter_worker *worker);
/* Where the rows of the frame lie: in the message where it can be, else assembled. */
struct count_image counter_frame_image(struct counter_worker *worker,
				       const struct sluice_scan *info,
				       const struct sluice_frame *frame);
/* Its pixels as counter_record_pixel() says; missing ones 0. */
void counter_frame_record(const struct sluice_scan *info, const struct sluice_frame *frame,
			  uint8_t *dst);

/* counter_work.c */

void *counter_work(void *worker);

#endif /* CONSUME_COUNTER_H */
