/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Requests that wait for their answer. Each has one place, told by its hash;
 * one that was not answered keeps its place until a minute has passed and
 * another request wants it. So memory is bounded, and nothing is forgotten
 * unseen as an LRU map would. Include address.h and counted.h first.
 *
 * A hash map and no array, because delete then tells which of two CPUs was
 * first. Between its look-up and its delete a place may change hands, after an
 * answer that two CPUs meet at once: then one request more is never answered.
 */
#ifndef NFBPF_PENDING_H
#define NFBPF_PENDING_H

#define PENDING 16384 /* a power of two */
#define PENDING_STALE_NS 60000000000ULL

/* struct request - what its answer repeats; 48 bytes without padding */
struct request {
	union address client;
	union address server;
	__u16 client_port; /* big-endian */
	__u16 server_port;
	__u32 token; /* of the protocol: what tells an answer from one to an older request */
	__u64 family;
};

#define REQUEST_WORDS (sizeof(struct request) / sizeof(__u64))

struct nfbpf_pending_state {
	struct request request;
	__u64 since; /* ns of bpf_ktime_get_ns() */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PENDING);
	__type(key, __u32);
	__type(value, struct nfbpf_pending_state);
} nfbpf_pending SEC(".maps");

static __always_inline __u32 place_of(const struct request *request)
{
	const __u64 *word = (const __u64 *)request;
	__u64 hash = 0;

	for (unsigned int i = 0; i < REQUEST_WORDS; i++) {
		hash = (hash ^ word[i]) * 0x9e3779b97f4a7c15ULL;
		hash ^= hash >> 32;
	}
	return hash & (PENDING - 1);
}

static __always_inline bool same_request(const struct request *a, const struct request *b)
{
	const __u64 *x = (const __u64 *)a, *y = (const __u64 *)b;
	__u64 difference = 0;

	for (unsigned int i = 0; i < REQUEST_WORDS; i++)
		difference |= x[i] ^ y[i];
	return !difference;
}

enum begun {
	BEGUN,	      /* its time runs */
	BEGUN_BEFORE, /* repeated: its time runs since it was first met */
	BEGUN_NOT,    /* its place is taken: it cannot be timed */
};

/* abandoned->family is 0, unless an older request lost its place. */
static __always_inline enum begun begin(const struct request *request, struct request *abandoned)
{
	struct nfbpf_pending_state fresh = {.request = *request, .since = bpf_ktime_get_ns()};
	__u32 place = place_of(request);
	struct nfbpf_pending_state *old = bpf_map_lookup_elem(&nfbpf_pending, &place);
	int err;

	abandoned->family = 0;
	if (old) {
		/* Another CPU may have put it there since: then it is the younger one. */
		if ((__s64)(fresh.since - old->since) < (__s64)PENDING_STALE_NS)
			return same_request(&old->request, request) ? BEGUN_BEFORE : BEGUN_NOT;
		*abandoned = old->request;
		err = bpf_map_delete_elem(&nfbpf_pending, &place);
		if (err) { /* another CPU was first, and counts it */
			abandoned->family = 0;
			return BEGUN_NOT;
		}
	}
	err = bpf_map_update_elem(&nfbpf_pending, &place, &fresh, BPF_NOEXIST);
	return err ? BEGUN_NOT : BEGUN;
}

/* false: no such request waits, or another CPU met this answer as well. */
static __always_inline bool end(const struct request *request, __u64 *ns)
{
	__u32 place = place_of(request);
	struct nfbpf_pending_state *state = bpf_map_lookup_elem(&nfbpf_pending, &place);
	int err;

	if (!state || !same_request(&state->request, request))
		return false;
	*ns = bpf_ktime_get_ns() - state->since;
	err = bpf_map_delete_elem(&nfbpf_pending, &place);
	return !err;
}

#define LATENCY_SLOTS 34 /* to 17 s; the last has what took longer */

struct nfbpf_server_key {
	union address server;
	enum nfbpf_family family;
	nfbpf_reserved8_t reserved;
	nfbpf_reserved16_t reserved2;
};

/*
 * How a program's value of a server begins, whatever it calls the third
 * member. Requests are answered (latency), abandoned, untimed, or still wait.
 */
struct request_counts {
	nfbpf_log2_slot_t latency_ns[LATENCY_SLOTS];
	__u64 latency_ns_sum;
	__u64 begun;	 /* without those that were sent again */
	__u64 abandoned; /* no answer in a minute; known when another wants the place */
	__u64 untimed;	 /* found their place taken */
};

#define ASSERT_REQUEST_COUNTS(_value, _begun)                                                      \
	_Static_assert(                                                                            \
		offsetof(_value, latency_ns_sum) ==                                                \
				offsetof(struct request_counts, latency_ns_sum) &&                 \
			offsetof(_value, _begun) == offsetof(struct request_counts, begun) &&      \
			offsetof(_value, abandoned) ==                                             \
				offsetof(struct request_counts, abandoned) &&                      \
			offsetof(_value, untimed) == offsetof(struct request_counts, untimed),     \
		"begins as struct request_counts")

static __always_inline void *server_row(const struct packet *p, void *map, const void *zero,
					const union address *server, __u32 family)
{
	struct nfbpf_server_key key = {.server = *server, .family = family};

	return row_of(p, map, &key, zero);
}

static __always_inline void count_begin(const struct packet *p, void *map, const void *zero,
					const struct request *request)
{
	struct request abandoned;
	enum begun begun = begin(request, &abandoned);
	struct request_counts *row;

	if (abandoned.family) {
		row = server_row(p, map, zero, &abandoned.server, abandoned.family);
		if (row)
			ADD(row->abandoned, 1);
	}
	if (begun == BEGUN_BEFORE)
		return;
	row = server_row(p, map, zero, &request->server, p->family);
	if (!row)
		return;
	ADD(row->begun, 1);
	if (begun == BEGUN_NOT)
		ADD(row->untimed, 1);
}

static __always_inline void count_end(const struct packet *p, void *map, const void *zero,
				      const struct request *request)
{
	struct request_counts *row;
	__u64 ns;

	if (!end(request, &ns))
		return;
	row = server_row(p, map, zero, &request->server, p->family);
	if (!row)
		return;
	ADD(row->latency_ns[log2_slot(ns, LATENCY_SLOTS)], 1);
	ADD(row->latency_ns_sum, ns);
}

#endif /* NFBPF_PENDING_H */
