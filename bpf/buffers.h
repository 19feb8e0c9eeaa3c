/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Two buffers of one table, of which one is counted into: see abi/nfbpf.h. */
#ifndef NFBPF_BUFFERS_H
#define NFBPF_BUFFERS_H

#include "row.h"

struct nfbpf_epoch_state nfbpf_epoch SEC(NFBPF_EPOCH_SECTION);

/* Asked once for a packet and table: the answer may change at any moment. */
static __always_inline bool second_buffer(void)
{
	return *(volatile __u32 *)&nfbpf_epoch.active;
}

/*
 * A look-up in either. Each has a call of its own, or the verifier sees a call
 * that does not know its map, and the kernel a look-up that it cannot inline.
 */
#define lookup_buffered(_second, _first_map, _second_map, _key)                                    \
	({                                                                                         \
		void *_row;                                                                        \
		if (_second) {                                                                     \
			_row = bpf_map_lookup_elem(_second_map, _key);                             \
			barrier();                                                                 \
		} else {                                                                           \
			_row = bpf_map_lookup_elem(_first_map, _key);                              \
		}                                                                                  \
		_row;                                                                              \
	})

/* As make_row() in row.h, and counted, so that a reader sees how full the buffer is. */
static __always_inline void *make_buffered_row(bool second, void *first_map, void *second_map,
					       const void *key, const void *zero, int *err)
{
	void *row;

	if (second) {
		row = make_row(second_map, key, zero, err);
		if (row && !*err)
			__sync_fetch_and_add(&nfbpf_epoch.made[1], 1);
		barrier();
	} else {
		row = make_row(first_map, key, zero, err);
		if (row && !*err)
			__sync_fetch_and_add(&nfbpf_epoch.made[0], 1);
	}
	return row;
}

#endif /* NFBPF_BUFFERS_H */
