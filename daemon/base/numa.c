/* SPDX-License-Identifier: MIT */
#include <numa.h>
#include <pthread.h>

#include <base/error.h>
#include <base/numa.h>

unsigned int node_count(void)
{
	const int n = numa_available() < 0 ? 1 : numa_num_configured_nodes();

	return n > 0 ? (unsigned int)n : 1;
}

/* Pins to the processors of @node that this process may use. */
static int pin(int node, struct bitmask *cpus)
{
	/* libnuma fills a table of its own at the first question about a node, without a lock. */
	static pthread_mutex_t libnuma = PTHREAD_MUTEX_INITIALIZER;
	int ret = 0;

	(void)pthread_mutex_lock(&libnuma);
	if (numa_node_to_cpus(node, cpus) < 0)
		ret = neg_errno();
	(void)pthread_mutex_unlock(&libnuma);
	if (ret < 0)
		return ret;
	for (unsigned int cpu = 0; cpu < cpus->size; cpu++) {
		if (!numa_bitmask_isbitset(numa_all_cpus_ptr, cpu))
			(void)numa_bitmask_clearbit(cpus, cpu);
	}
	if (numa_bitmask_weight(cpus) == 0)
		return -ENODEV;
	return numa_sched_setaffinity(0, cpus) < 0 ? neg_errno() : 0;
}

int thread_pin_to_node(int node, struct sluice_error *reterr)
{
	struct bitmask *cpus;
	int ret;

	if (node == NODE_ANY)
		return 0;
	if (numa_available() < 0) {
		if (node == 0) /* the whole machine */
			return 0;
		return error_set(reterr, -ENODEV, "node %d: this kernel has no NUMA nodes", node);
	}
	if (node < 0 || !numa_bitmask_isbitset(numa_nodes_ptr, (unsigned int)node))
		return error_set(reterr, -ENODEV,
				 "node %d: no such node here; `numactl --hardware` lists them",
				 node);
	cpus = numa_allocate_cpumask();
	ret = pin(node, cpus);
	numa_free_cpumask(cpus);
	if (ret < 0)
		return error_set(
			reterr, ret, "node %d: cannot pin a thread to its processors: %s", node,
			ret == -ENODEV ? "this process may use none of them" : error_name(ret));
	return 0;
}
