/* SPDX-License-Identifier: MIT */
/*
 * Whoever sees the last half arrive writes the ledger. Several may: a transaction lets the first
 * one in, and all would write the same.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <base/clock.h>
#include <base/error.h>
#include <base/log.h>
#include <member/member_state.h>
#include <scan/ledger.h>

#define LOOK_AGAIN_NS (2 * NS_PER_S)

enum {
	LEDGER_HALVES_MAX = SLUICE_SECTORS_MAX + PLAN_MEMBERS_MAX
};

/* What lies under one scan's prefix, sorted out. Borrows from the entries. */
struct scan_entries {
	const struct directory_entry *plan;
	bool has_ledger;
	struct ledger_half half[LEDGER_HALVES_MAX];
	unsigned int half_count;
};

static void sort_out(const struct directory_entries *entries, struct scan_entries *ret_sorted)
{
	for (unsigned int i = 0; i < entries->count; i++) {
		const struct directory_entry *entry = &entries->entry[i];
		const char *leaf;
		uint32_t scan;

		if (scan_key_parse(entry->key, &scan, &leaf) < 0)
			continue;
		if (strcmp(leaf, "plan") == 0)
			ret_sorted->plan = entry;
		else if (strcmp(leaf, "ledger") == 0)
			ret_sorted->has_ledger = true;
		else if (strncmp(leaf, "half/", 5) == 0 &&
			 ret_sorted->half_count < LEDGER_HALVES_MAX)
			ret_sorted->half[ret_sorted->half_count++] =
				(struct ledger_half){ .id = leaf + 5, .json = entry->value };
	}
}

static bool has_half(const struct scan_entries *entries, const char *id)
{
	for (unsigned int i = 0; i < entries->half_count; i++) {
		if (strcmp(entries->half[i].id, id) == 0)
			return true;
	}
	return false;
}

static bool is_registered(const struct directory_entries *registered, const char *key)
{
	for (unsigned int i = 0; i < registered->count; i++) {
		if (strcmp(registered->entry[i].key, key) == 0)
			return true;
	}
	return false;
}

/*
 * Members of the plan that are registered no more and left no half will not leave one: an empty
 * one stands for it, and keeps the ledger open by name.
 */
static void add_gone(struct scan_entries *entries, const char *folder,
		     const struct directory_entries *registered, const struct plan_member *list,
		     unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		char key[DIRECTORY_KEY_MAX];

		(void)snprintf(key, sizeof(key), "%s%s", folder, list[i].id);
		if (!has_half(entries, list[i].id) && !is_registered(registered, key) &&
		    entries->half_count < LEDGER_HALVES_MAX)
			entries->half[entries->half_count++] =
				(struct ledger_half){ .id = list[i].id };
	}
}

/* Who is registered now. */
struct registered {
	struct directory_entries boards, consumers;
};

static int list_registered(struct member *member, struct registered *ret_registered,
			   struct sluice_error *reterr)
{
	int ret = directory_list(member->directory, "boards/", &ret_registered->boards, reterr);

	if (ret == 0)
		ret = directory_list(member->directory, "consumers/", &ret_registered->consumers,
				     reterr);
	return ret;
}

static void add_all_gone(struct scan_entries *entries, const struct registered *registered,
			 const struct scan_plan *plan)
{
	char folder[DIRECTORY_KEY_MAX];

	add_gone(entries, "boards/", &registered->boards, plan->board, plan->board_count);
	(void)snprintf(folder, sizeof(folder), "consumers/%s/", plan->group);
	add_gone(entries, folder, &registered->consumers, plan->consumer, plan->consumer_count);
}

/* The ledger holds every half: what led to it goes, so that the directory does not fill up. */
static void tidy_up(struct member *member, const struct directory_entries *entries)
{
	for (unsigned int i = 0; i < entries->count; i++) {
		const char *leaf;
		uint32_t scan;

		if (scan_key_parse(entries->entry[i].key, &scan, &leaf) == 0 &&
		    (strncmp(leaf, "half/", 5) == 0 || strncmp(leaf, "shared/", 7) == 0))
			(void)directory_delete(member->directory, entries->entry[i].key, NULL);
	}
}

static int write_ledger(struct member *member, const struct scan_entries *entries,
			struct scan_plan *plan)
{
	struct sluice_error error = { 0 };
	char key[PLAN_KEY_MAX];
	struct ledger ledger;
	char *json = NULL, *text = NULL;
	int ret;

	ret = ledger_close(plan, entries->half, entries->half_count, &ledger, &json, &error);
	if (ret == -EAGAIN)
		return ret;
	if (ret < 0) {
		log_err("scan %u: the ledger cannot be worked out: %s", plan->scan, error.text);
		return ret;
	}
	scan_key(key, plan->scan, "ledger");
	ret = directory_put_if(member->directory, key, 0, json, &error);
	if (ret == -EEXIST)
		goto out;
	if (ret < 0) {
		log_err("scan %u: the ledger cannot be written: %s", plan->scan, error.text);
		goto out;
	}
	log_info("scan %u: ledger %s%s%s", plan->scan,
		 ledger.closed ? "closed" : "open: ", ledger.why,
		 ledger.state == SCAN_ABORTED ? ", aborted" : "");
	plan->state = ledger.state;
	text = plan_encode(plan);
	scan_key(key, plan->scan, "plan");
	if (text &&
	    directory_put_if(member->directory, key, entries->plan->revision, text, &error) < 0)
		log_warn("scan %u: its state stays as it was: %s", plan->scan, error.text);
out:
	free(text);
	free(json);
	return ret;
}

/* -EAGAIN: a half is missing still. -ENOENT: no such scan waits for a ledger. */
static int try_ledger(struct member *member, uint32_t scan, const struct registered *registered,
		      struct sluice_error *reterr)
{
	struct scan_plan *plan = calloc(1, sizeof(*plan));
	struct scan_entries *sorted = calloc(1, sizeof(*sorted));
	struct directory_entries entries = { 0 };
	char prefix[PLAN_KEY_MAX];
	int ret = -ENOMEM;

	scan_key(prefix, scan, "");
	if (!plan || !sorted)
		goto out;
	ret = directory_list(member->directory, prefix, &entries, reterr);
	if (ret < 0)
		goto out;
	sort_out(&entries, sorted);
	ret = -ENOENT;
	if (sorted->plan && !sorted->has_ledger)
		ret = plan_decode(sorted->plan->value, plan, reterr);
	if (ret == 0 && registered)
		add_all_gone(sorted, registered, plan);
	if (ret == 0)
		ret = write_ledger(member, sorted, plan);
	if (ret == 0)
		tidy_up(member, &entries);
	directory_entries_free(&entries);
out:
	free(sorted);
	free(plan);
	return ret;
}

void member_try_ledger(struct member *member, uint32_t scan)
{
	struct sluice_error error = { 0 };
	const int ret = try_ledger(member, scan, NULL, &error);

	if (ret < 0 && ret != -EAGAIN && ret != -ENOENT && ret != -EEXIST)
		log_warn("scan %u: the ledger waits: %s", scan, error.text);
}

void member_look(struct member *member)
{
	struct registered registered = { 0 };
	struct sluice_error error = { 0 };
	uint64_t look_ns;
	uint32_t scan;
	int ret;

	(void)pthread_mutex_lock(&member->lock);
	scan = member->left_scan;
	look_ns = member->left_look_ns;
	(void)pthread_mutex_unlock(&member->lock);
	if (scan == 0 || now_ns() < look_ns)
		return;
	/* First who is there, then what they left: who goes in between has left its half. */
	ret = list_registered(member, &registered, &error);
	if (ret == 0)
		ret = try_ledger(member, scan, &registered, &error);
	directory_entries_free(&registered.boards);
	directory_entries_free(&registered.consumers);
	(void)pthread_mutex_lock(&member->lock);
	member->left_look_ns = now_ns() + LOOK_AGAIN_NS;
	if (member->left_scan == scan && (ret == 0 || ret == -ENOENT || ret == -EEXIST))
		member->left_scan = 0;
	(void)pthread_mutex_unlock(&member->lock);
}

void member_left(void *ctx, enum directory_change change, const char *key, const char *value,
		 int64_t revision)
{
	struct member *member = ctx;
	uint32_t scan;

	(void)key;
	(void)value;
	(void)revision;
	if (change != DIRECTORY_DELETED)
		return;
	(void)pthread_mutex_lock(&member->call);
	scan = member->plan->scan;
	(void)pthread_mutex_unlock(&member->call);
	(void)pthread_mutex_lock(&member->lock);
	member->left_scan = scan;
	member->left_look_ns = now_ns() + member->gone_ns;
	(void)pthread_mutex_unlock(&member->lock);
}
