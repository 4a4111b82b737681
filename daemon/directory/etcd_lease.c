/* SPDX-License-Identifier: MIT */
/*
 * The lease: taken with the first leased put, kept alive at a third of its time. Where it lapsed,
 * or etcd has lost its memory, a new one is taken and every leased key is put again.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <base/clock.h>
#include <base/error.h>
#include <directory/etcd.h>

static struct timespec timespec_from_ns(uint64_t ns)
{
	return (struct timespec){ .tv_sec = (time_t)(ns / NS_PER_S),
				  .tv_nsec = (long)(ns % NS_PER_S) };
}

int etcd_lease_init(struct etcd *etcd)
{
	struct etcd_lease *lease = &etcd->lease;
	int ret = -pthread_mutex_init(&lease->lock, NULL);

	if (ret < 0)
		return ret;
	ret = -pthread_cond_init(&lease->given_back, NULL);
	if (ret < 0)
		goto err_lock;
	ret = -pthread_mutex_init(&lease->wake_lock, NULL);
	if (ret < 0)
		goto err_given_back;
	ret = -pthread_cond_init(&lease->wake, NULL);
	if (ret < 0)
		goto err_wake_lock;
	return 0;

err_wake_lock:
	(void)pthread_mutex_destroy(&lease->wake_lock);
err_given_back:
	(void)pthread_cond_destroy(&lease->given_back);
err_lock:
	(void)pthread_mutex_destroy(&lease->lock);
	return ret;
}

void etcd_lease_fini(struct etcd *etcd)
{
	struct etcd_lease *lease = &etcd->lease;

	for (unsigned int i = 0; i < lease->key_count; i++)
		free(lease->key[i].value);
	lease->key_count = 0;
	(void)pthread_cond_destroy(&lease->wake);
	(void)pthread_mutex_destroy(&lease->wake_lock);
	(void)pthread_cond_destroy(&lease->given_back);
	(void)pthread_mutex_destroy(&lease->lock);
}

int etcd_lease_lock(struct etcd *etcd, uint64_t deadline_ns, struct sluice_error *reterr)
{
	struct etcd_lease *lease = &etcd->lease;
	const struct timespec until = timespec_from_ns(deadline_ns);
	int ret = 0;

	(void)pthread_mutex_lock(&lease->lock);
	while (lease->taken && ret == 0)
		ret = pthread_cond_clockwait(&lease->given_back, &lease->lock, CLOCK_MONOTONIC,
					     &until);
	if (!lease->taken) {
		lease->taken = true;
		ret = 0;
	}
	(void)pthread_mutex_unlock(&lease->lock);
	if (ret != 0)
		return error_set(reterr, -ret, "etcd: calls before this one take all its time");
	return 0;
}

void etcd_lease_unlock(struct etcd *etcd)
{
	struct etcd_lease *lease = &etcd->lease;

	(void)pthread_mutex_lock(&lease->lock);
	assert(lease->taken);
	lease->taken = false;
	(void)pthread_cond_signal(&lease->given_back);
	(void)pthread_mutex_unlock(&lease->lock);
}

static struct etcd_lease_key *find_key(struct etcd_lease *lease, const char *key)
{
	for (unsigned int i = 0; i < lease->key_count; i++) {
		if (strcmp(lease->key[i].key, key) == 0)
			return &lease->key[i];
	}
	return NULL;
}

void etcd_lease_forget(struct etcd *etcd, const char *key)
{
	struct etcd_lease *lease = &etcd->lease;
	struct etcd_lease_key *found = find_key(lease, key);

	if (!found)
		return;
	free(found->value);
	*found = lease->key[--lease->key_count];
}

static int grant(struct etcd *etcd, uint64_t deadline_ns, struct sluice_error *reterr)
{
	const char *path = "/v3/lease/grant";
	char *body = etcd_encode_lease_grant(etcd->lease_ttl_s);
	const struct etcd_call call = { .path = path,
					.body = body,
					.answer_max = ETCD_ANSWER_BYTES_MAX,
					.deadline_ns = deadline_ns };
	struct etcd_answer answer = { 0 };
	int ret = etcd_call(etcd, &call, &answer, reterr);

	if (ret == 0)
		ret = etcd_judge(
			etcd, path,
			etcd_decode_lease_grant(answer.text, answer.bytes, &etcd->lease.id),
			reterr);
	free(answer.text);
	free(body);
	return ret;
}

static void lose(struct etcd *etcd)
{
	etcd->lease.id = 0;
	etcd->lease.torn = etcd->lease.key_count > 0;
	(void)atomic_fetch_add(&etcd->base.stats.lease_losses, 1);
}

/* Makes the lease whole: there is one, and every key hangs on it. The lease is taken. */
static int mend(struct etcd *etcd, uint64_t deadline_ns, struct sluice_error *reterr)
{
	struct etcd_lease *lease = &etcd->lease;
	int ret = 0;

	if (lease->id == 0)
		ret = grant(etcd, deadline_ns, reterr);
	if (ret < 0 || !lease->torn)
		return ret;
	for (unsigned int i = 0; i < lease->key_count && ret == 0; i++)
		ret = etcd_put_call(etcd, lease->key[i].key, lease->key[i].value, lease->id,
				    deadline_ns, reterr);
	if (ret == 0)
		lease->torn = false;
	else if (ret == -ENOENT)
		lose(etcd);
	return ret;
}

/* The lease is taken, and may turn out to be lost, but not twice in a row. */
static int put_under_lease(struct etcd *etcd, const char *key, const char *value,
			   uint64_t deadline_ns, struct sluice_error *reterr)
{
	int ret = mend(etcd, deadline_ns, reterr);

	if (ret < 0)
		return ret;
	ret = etcd_put_call(etcd, key, value, etcd->lease.id, deadline_ns, reterr);
	if (ret != -ENOENT)
		return ret;
	lose(etcd);
	ret = mend(etcd, deadline_ns, reterr);
	if (ret < 0)
		return ret;
	return etcd_put_call(etcd, key, value, etcd->lease.id, deadline_ns, reterr);
}

int etcd_lease_put(struct etcd *etcd, const char *key, const char *value, uint64_t deadline_ns,
		   struct sluice_error *reterr)
{
	struct etcd_lease *lease = &etcd->lease;
	struct etcd_lease_key *found;
	char *copy = strdup(value);
	int ret;

	if (!copy)
		return error_set(reterr, -ENOMEM, "etcd: %s: out of memory", key);
	ret = etcd_lease_lock(etcd, deadline_ns, reterr);
	if (ret < 0)
		goto out_copy;
	found = find_key(lease, key);
	if (!found && lease->key_count == DIRECTORY_LEASED_MAX) {
		ret = error_set(reterr, -ENOSPC,
				"etcd: %s: over %d leased keys (DIRECTORY_LEASED_MAX)", key,
				DIRECTORY_LEASED_MAX);
		goto out_lock;
	}
	ret = put_under_lease(etcd, key, value, deadline_ns, reterr);
	if (ret < 0)
		goto out_lock;
	if (!found) {
		found = &lease->key[lease->key_count++];
		*found = (struct etcd_lease_key){ 0 };
		(void)memcpy(found->key, key, strlen(key) + 1);
	}
	free(found->value);
	found->value = copy;
	copy = NULL;
out_lock:
	etcd_lease_unlock(etcd);
	/* It may have lost the lease and not mended it. */
	if (ret < 0)
		etcd_lease_wake(etcd);
out_copy:
	free(copy);
	return ret;
}

/* 0: alive. -ENOENT: lapsed. Else the cluster could not be asked. */
static int keep_alive(struct etcd *etcd, int64_t id, uint64_t deadline_ns)
{
	const char *path = "/v3/lease/keepalive";
	char *body = etcd_encode_lease_id(id);
	const struct etcd_call call = { .path = path,
					.body = body,
					.answer_max = ETCD_ANSWER_BYTES_MAX,
					.deadline_ns = deadline_ns };
	struct etcd_answer answer = { 0 };
	int64_t ttl_s = 0;
	int ret = etcd_call(etcd, &call, &answer, NULL);

	if (ret == 0)
		ret = etcd_judge(etcd, path,
				 etcd_decode_keepalive(answer.text, answer.bytes, &ttl_s), NULL);
	free(answer.text);
	free(body);
	return ret == 0 && ttl_s == 0 ? -ENOENT : ret;
}

/* Keeps the lease alive, or mends it. Not 0: to be tried again soon. */
static int look_after(struct etcd *etcd)
{
	struct etcd_lease *lease = &etcd->lease;
	const uint64_t share_ns = etcd->lease_ttl_s * NS_PER_S / 3;
	uint64_t deadline_ns = now_ns() +
			       (etcd->timeout_ns < share_ns ? etcd->timeout_ns : share_ns);
	int64_t id;
	bool torn;
	int ret = etcd_lease_lock(etcd, deadline_ns, NULL);

	if (ret < 0)
		return ret;
	id = lease->id;
	torn = lease->torn;
	etcd_lease_unlock(etcd);
	if (id != 0) {
		ret = keep_alive(etcd, id, deadline_ns);
		if (ret == 0)
			(void)atomic_fetch_add(&etcd->base.stats.lease_renewals, 1);
		if (ret != -ENOENT && (ret < 0 || !torn))
			return ret;
	} else if (!torn) {
		return 0;
	}
	deadline_ns = etcd_deadline(etcd);
	if (etcd_lease_lock(etcd, deadline_ns, NULL) < 0)
		return -ETIMEDOUT;
	/* A put may have found it out, and mended it, in between. */
	if (ret == -ENOENT && lease->id == id)
		lose(etcd);
	ret = lease->torn ? mend(etcd, deadline_ns, NULL) : 0;
	etcd_lease_unlock(etcd);
	return ret;
}

/* False: it is time to end. */
static bool wait_for_wake(struct etcd *etcd, uint64_t wait_ns)
{
	struct etcd_lease *lease = &etcd->lease;
	const struct timespec until = timespec_from_ns(now_ns() + wait_ns);

	(void)pthread_mutex_lock(&lease->wake_lock);
	while (!lease->woken) {
		if (pthread_cond_clockwait(&lease->wake, &lease->wake_lock, CLOCK_MONOTONIC,
					   &until) != 0)
			break;
	}
	lease->woken = false;
	(void)pthread_mutex_unlock(&lease->wake_lock);
	return !atomic_load(&etcd->stopping);
}

static void *lease_main(void *arg)
{
	struct etcd *etcd = arg;
	const uint64_t share_ns = etcd->lease_ttl_s * NS_PER_S / 3;
	uint64_t retry_ns = ETCD_RETRY_FIRST_MS * NS_PER_MS, wait_ns = share_ns;

	while (wait_for_wake(etcd, wait_ns)) {
		if (look_after(etcd) == 0) {
			wait_ns = share_ns;
			retry_ns = ETCD_RETRY_FIRST_MS * NS_PER_MS;
			continue;
		}
		wait_ns = retry_ns < share_ns ? retry_ns : share_ns;
		retry_ns *= 2;
		if (retry_ns > ETCD_RETRY_MAX_MS * NS_PER_MS)
			retry_ns = ETCD_RETRY_MAX_MS * NS_PER_MS;
	}
	return NULL;
}

int etcd_lease_start(struct etcd *etcd)
{
	const int ret = -pthread_create(&etcd->lease.thread, NULL, lease_main, etcd);

	etcd->lease.started = ret == 0;
	return ret;
}

void etcd_lease_wake(struct etcd *etcd)
{
	(void)pthread_mutex_lock(&etcd->lease.wake_lock);
	etcd->lease.woken = true;
	(void)pthread_cond_signal(&etcd->lease.wake);
	(void)pthread_mutex_unlock(&etcd->lease.wake_lock);
}

void etcd_lease_stop(struct etcd *etcd)
{
	if (!etcd->lease.started)
		return;
	assert(atomic_load(&etcd->stopping));
	etcd_lease_wake(etcd);
	(void)pthread_join(etcd->lease.thread, NULL);
	etcd->lease.started = false;
}

void etcd_lease_revoke(struct etcd *etcd, uint64_t deadline_ns)
{
	char *body = etcd_encode_lease_id(etcd->lease.id);
	const struct etcd_call call = { .path = "/v3/lease/revoke",
					.body = body,
					.answer_max = ETCD_ANSWER_BYTES_MAX,
					.deadline_ns = deadline_ns,
					.last = true };
	struct etcd_answer answer = { 0 };

	/* Where it cannot be revoked, it lapses. */
	if (etcd->lease.id != 0)
		(void)etcd_call(etcd, &call, &answer, NULL);
	etcd->lease.id = 0;
	free(answer.text);
	free(body);
}
