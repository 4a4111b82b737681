// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * A caller's memory as a chain of descriptors.
 *
 * Registered buffers of io_uring come as a bvec: their pages are pinned for as long as the ring
 * lives, io_uring holds the registration while a read is under way, and nothing is pinned here.
 * Any other memory is pinned, for long: a read lasts until the detector is triggered.
 *
 * Pages that lie next to each other become one piece, so that a huge page is one descriptor. In
 * memory that is pinned here a piece holds each of its pages once, whatever the offsets: it is by
 * pieces that pages are given back.
 */
#include <linux/bvec.h>
#include <linux/dma-mapping.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "board.h"
#include "compat.h"

/* Pieces, first counted (sg is NULL), then written. */
struct pieces {
	struct scatterlist *sg; /* next to write */
	struct scatterlist *last;
	unsigned int count;
	size_t bytes_max; /* of a piece */
	bool whole_pages; /* merge at page borders only */
	phys_addr_t end;  /* of the last piece */
	size_t len;
};

static void pieces_add(struct pieces *p, struct page *page, unsigned int offset, size_t len)
{
	const phys_addr_t start = page_to_phys(page) + offset;
	const bool border = !p->whole_pages || (!offset && PAGE_ALIGNED(p->end));

	if (p->count && start == p->end && border && p->len + len <= p->bytes_max) {
		p->len += len;
		if (p->last)
			p->last->length += len;
	} else {
		p->count++;
		p->len = len;
		if (p->sg) {
			sg_set_page(p->sg, page, len, offset);
			p->last = p->sg;
			p->sg = sg_next(p->sg);
		}
	}
	p->end = start + len;
}

static void add_bvec(struct pieces *p, const struct iov_iter *iter)
{
	const struct bvec_iter start = { .bi_size = iter->count, .bi_bvec_done = iter->iov_offset };
	struct bvec_iter i;
	struct bio_vec bv;

	for_each_bvec(bv, iter->bvec, i, start)
		pieces_add(p, bv.bv_page, bv.bv_offset, bv.bv_len);
}

/* Pages of the whole iterator, in its order; a page that two pieces of memory share is there twice.
 */
static void add_pinned(struct pieces *p, const struct iov_iter *iter, struct page **pages)
{
	struct iov_iter rest = *iter;

	while (rest.count) {
		size_t len, done;
		unsigned long start = (unsigned long)compat_iter_piece(&rest, &len);

		for (done = 0; done < len; pages++) {
			const unsigned int offset = offset_in_page(start + done);
			const size_t part = min(len - done, PAGE_SIZE - offset);

			pieces_add(p, *pages, offset, part);
			done += part;
		}
		iov_iter_advance(&rest, len);
	}
}

static unsigned long pages_of(unsigned long start, size_t len)
{
	return len ? DIV_ROUND_UP(offset_in_page(start) + len, PAGE_SIZE) : 0;
}

static unsigned long count_pages(const struct iov_iter *iter)
{
	struct iov_iter rest = *iter;
	unsigned long count = 0;

	while (rest.count) {
		size_t len;
		unsigned long start = (unsigned long)compat_iter_piece(&rest, &len);

		count += pages_of(start, len);
		iov_iter_advance(&rest, len);
	}
	return count;
}

static void count_pinned(struct sluice_board *board, unsigned long pinned, unsigned long unpinned)
{
	spin_lock(&board->lock);
	board->counts.pages_pinned += pinned;
	board->counts.pages_unpinned += unpinned;
	spin_unlock(&board->lock);
}

static int pin_piece(unsigned long start, unsigned long count, struct page **pages,
		     unsigned long *ret_pinned)
{
	unsigned long pinned = 0;

	while (pinned < count) {
		const int batch = min_t(unsigned long, count - pinned, INT_MAX);
		const int ret = pin_user_pages_fast(start + pinned * PAGE_SIZE, batch,
						    FOLL_WRITE | FOLL_LONGTERM, pages + pinned);

		if (ret <= 0) {
			*ret_pinned = pinned;
			return ret ? ret : -EFAULT;
		}
		pinned += ret;
	}
	*ret_pinned = pinned;
	return 0;
}

/* All pages of @iter, or none. */
static int pin_all(const struct iov_iter *iter, struct page **pages)
{
	struct iov_iter rest = *iter;
	unsigned long total = 0;

	while (rest.count) {
		size_t len;
		unsigned long start = (unsigned long)compat_iter_piece(&rest, &len), pinned;
		int ret = pin_piece(start & PAGE_MASK, pages_of(start, len), pages + total,
				    &pinned);

		total += pinned;
		if (ret) {
			unpin_user_pages(pages, total);
			return ret;
		}
		iov_iter_advance(&rest, len);
	}
	return 0;
}

/* The table of pieces, in two walks over the memory: its size is not known before. */
static int build_table(struct sluice_board *board, struct sluice_read *read,
		       const struct iov_iter *iter, struct page **pages)
{
	const size_t bytes_max = min_t(size_t, dma_max_mapping_size(&board->pdev->dev),
				       rounddown(UINT_MAX, PAGE_SIZE));
	struct pieces p = { .bytes_max = bytes_max, .whole_pages = pages };
	int ret;

	if (pages)
		add_pinned(&p, iter, pages);
	else
		add_bvec(&p, iter);
	ret = sg_alloc_table(&read->sgt, p.count, GFP_KERNEL);
	if (ret)
		return ret;
	p = (struct pieces){ .sg = read->sgt.sgl, .bytes_max = bytes_max, .whole_pages = pages };
	if (pages)
		add_pinned(&p, iter, pages);
	else
		add_bvec(&p, iter);
	return 0;
}

static int build_pinned(struct sluice_board *board, struct sluice_read *read,
			const struct iov_iter *iter)
{
	const unsigned long count = count_pages(iter);
	struct page **pages = kvmalloc_array(count, sizeof(*pages), GFP_KERNEL);
	int ret;

	if (!pages)
		return -ENOMEM;
	ret = pin_all(iter, pages);
	if (ret)
		goto out_free;
	ret = build_table(board, read, iter, pages);
	if (ret) {
		unpin_user_pages(pages, count);
		goto out_free;
	}
	read->pinned = true;
	count_pinned(board, count, 0);
out_free:
	kvfree(pages);
	return ret;
}

/* What goes into one chain: the rest of the memory stays as it is, and the read is a short one. */
static void cut_chain(struct sluice_board *board, struct sluice_read *read)
{
	const u32 most = min(board->chain_max, board->ring.desc_entries);
	struct scatterlist *sg;
	unsigned int i;

	read->bytes = 0;
	read->descriptors = min(most, read->sgt.nents);
	for_each_sgtable_dma_sg(&read->sgt, sg, i) {
		if (i == read->descriptors)
			break;
		read->bytes += sg_dma_len(sg);
	}
}

/* -EINVAL: no memory of a process. -EFAULT: not the caller's to write. -ENOMEM. */
int sluice_chain_build(struct sluice_board *board, struct sluice_read *read,
		       const struct iov_iter *iter)
{
	int ret;

	if (iov_iter_is_bvec(iter))
		ret = build_table(board, read, iter, NULL);
	else if (user_backed_iter(iter))
		ret = build_pinned(board, read, iter);
	else
		ret = -EINVAL;
	if (ret)
		return ret;
	ret = dma_map_sgtable(&board->pdev->dev, &read->sgt, DMA_FROM_DEVICE, 0);
	if (ret) {
		sluice_chain_free(board, read);
		return ret;
	}
	read->mapped = true;
	cut_chain(board, read);
	return 0;
}

/* The board is done with the memory. May sleep. May be called twice. */
void sluice_chain_free(struct sluice_board *board, struct sluice_read *read)
{
	unsigned long unpinned = 0;
	struct scatterlist *sg;
	unsigned int i;

	if (read->mapped)
		dma_unmap_sgtable(&board->pdev->dev, &read->sgt, DMA_FROM_DEVICE, 0);
	read->mapped = false;
	if (read->pinned) {
		for_each_sgtable_sg(&read->sgt, sg, i) {
			const unsigned long count = pages_of(sg->offset, sg->length);

			unpin_user_page_range_dirty_lock(sg_page(sg), count, true);
			unpinned += count;
			cond_resched();
		}
		count_pinned(board, 0, unpinned);
	}
	read->pinned = false;
	sg_free_table(&read->sgt);
}
