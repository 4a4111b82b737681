# SPDX-License-Identifier: MIT
# From the measurements (one object a line, read with --slurp) to the document that --json writes.
# Arguments: $start (the machine), $notes (a list of lines).

# What each row is measured against; where there is a target, how the ratio has to compare to it.
def table: [
	{ row: "memcpy", what: "memcpy of the same bytes" },
	{ row: "tcp", what: "plain TCP, writes of a chunk", to: [{ of: "memcpy" }] },
	{ row: "zmq_chunk", what: "plain libzmq, a chunk per message", to: [{ of: "tcp" }] },
	{ row: "zmq_tuned", what: "the same with Sluice's send buffer", to: [{ of: "zmq_chunk" }] },
	{ row: "zmq_block", what: "plain libzmq, a block per message", to: [{ of: "zmq_chunk" }] },
	{ row: "zmq_file_chunk", what: "plain libzmq, file, a chunk per message",
	  to: [{ of: "zmq_chunk" }] },
	{ row: "zmq_file_block", what: "plain libzmq, file, a block per message",
	  to: [{ of: "zmq_file_chunk" }] },
	{ row: "link", what: "Sluice: memory, link, acknowledged",
	  to: [{ of: "zmq_chunk", least: 0.85 }, { of: "zmq_block", least: 1.2 }, { of: "zmq_tuned" }] },
	{ row: "sluice", what: "Sluice: file, link, acknowledged",
	  to: [{ of: "zmq_file_chunk", least: 0.85 }, { of: "zmq_file_block", least: 1.2 },
	       { of: "zmq_chunk" }, { of: "zmq_block" }, { of: "zmq_tuned" }] },
	{ row: "sluice_crc", what: "the same, every CRC checked",
	  to: [{ of: "sluice" }, { of: "zmq_file_chunk" }] },
	{ row: "read_loop", what: "only reading pixels, per core", unit: "frames/s" },
	{ row: "count_portable", what: "counting, portable, per core", unit: "frames/s",
	  to: [{ of: "read_loop", least: 0.5 }] },
	{ row: "count_avx2", what: "counting, AVX2, per core", unit: "frames/s",
	  to: [{ of: "read_loop", least: 0.5 }] },
	{ row: "count_avx512", what: "counting, AVX-512, per core", unit: "frames/s",
	  to: [{ of: "read_loop", least: 0.5 }] },
	{ row: "chain", what: "the whole chain, bytes" },
	{ row: "chain_frames", of: "chain", what: "the whole chain, frames", unit: "frames/s" },
	{ row: "driver_memcpy", what: "memcpy by the card of the guest" },
	{ row: "driver", what: "card to the guest's memory, by the driver",
	  to: [{ of: "driver_memcpy" }] },
	{ row: "driver_reads", what: "reads of one small block, interrupts", unit: "reads/s" },
	{ row: "driver_polled", what: "the same, polled", unit: "reads/s",
	  to: [{ of: "driver_reads" }] }
];

def median: sort | if length % 2 == 1 then .[length / 2 | floor]
	else (.[length / 2] + .[length / 2 - 1]) / 2 end;
def spread: { runs: length, min: min, median: median, max: max };

def value($unit): if $unit == "frames/s" or $unit == "reads/s" then .frames / .seconds
	else .bytes / .seconds / 1e9 end;

# What has a target and misses it fails; it is a warning where some of the pairs reached it.
def judge($least; $errors):
	if $errors > 0 then "FAIL" elif $least == null then null
	elif median >= $least then "PASS" elif max >= $least then "WARN" else "FAIL" end;

# Pair by pair: what was measured in the same round.
def ratio($mine; $theirs; $unit; $errors):
	. as $to
	| [$mine[] | . as $m | $theirs[] | select(.round == $m.round)
		| ($m | value($unit)) / (. | value($unit))]
	| select(length > 0)
	| { to: $to.of, ratio: median, ratio_min: min, ratio_max: max, target: $to.least,
	    verdict: judge($to.least; $errors) };

def rate_row($all):
	. as $row
	| (.unit // "GB/s") as $unit
	| (.of // .row) as $from
	| [$all[] | select(.row == $from and .seconds != null)] as $mine
	| ($all | map(select(.row == $row.row and .skipped != null)) | first | .skipped?) as $skipped
	| if ($mine | length) > 0 then
		{ crc: ($mine | map(.crc) | add), gaps: ($mine | map(.gaps) | add),
		  lost: ($mine | map(.lost) | add), wrong: ($mine | map(.wrong) | add) } as $errors
		| ($errors | add) as $sum
		| [$row.to // [] | .[] | . as $to
			| ratio($mine; [$all[] | select(.row == $to.of and .seconds != null)]; $unit; $sum)]
			as $ratios
		| { row: $row.row, what: $row.what, unit: $unit,
		    bytes: ($mine | map(.bytes) | median), frames: ($mine | map(.frames) | median) }
			+ ($mine | map(value($unit)) | spread)
			+ { ratios: $ratios, errors: $errors,
			    verdict: (if $sum > 0 then "FAIL" else null end),
			    cpu_s_per_gb: ($mine | map(select(.sender_cpu_s? > 0)
				| { sender: (.sender_cpu_s / .bytes * 1e9),
				    receiver: (.receiver_cpu_s / .bytes * 1e9) })
				| if length > 0 then { sender: (map(.sender) | median),
					receiver: (map(.receiver) | median) } else null end) }
	  elif $skipped != null then
		{ row: $row.row, what: $row.what, unit: $unit, skipped: $skipped, ratios: [],
		  verdict: "SKIP" }
	  else empty end;

# What must not exceed a number: memory that grows, copies, calls.
def limit($value; $most):
	{ target: $most, at_most: true, verdict: (if $value <= $most then "PASS" else "FAIL" end) };

# Flat: the most that is resident in a scan is what it is in one a tenth as long. Of each, the round
# with the most counts.
def memory_rows($all):
	[$all[] | select(.row == "memory")]
	| if length == 0 then empty else . end
	| (map(.frames) | min) as $short | (map(.frames) | max) as $long
	| group_by(.process)[]
	| { row: "memory_\(.[0].process)", what: "memory of \(.[0].process), most", unit: "MB",
	    frames: $long }
		+ (map(select(.frames == $long).hwm_kib * 1024 / 1e6) | spread)
		+ { ratios: [{ to: "short scan",
			ratio: ((map(select(.frames == $long).hwm_kib) | max)
				/ (map(select(.frames == $short).hwm_kib) | max)) }
			| . + limit(.ratio; 1.1)],
		    short_frames: $short, verdict: null };

def copy_rows($all):
	("sluice", "chain") as $name
	| [$all[] | select(.row == $name and .seconds != null)]
	| if length == 0 then empty else . end
	| (map(.bytes_moved / .bytes) | spread) as $s
	| { row: "copies_\($name)", what: "bytes Sluice copies per byte, \($name)", unit: "B/B",
	    bytes: (map(.bytes) | median) } + $s
		+ { ratios: [{ to: "byte" } + limit($s.max; 0.001)], verdict: null };

# Of a long scan less those of a short one, by what it has more: what begins and ends a scan is
# not on the data path.
def call_rows($all):
	[$all[] | select(.row == "calls")]
	| if length == 0 then empty else . end
	| (map(.frames) | min) as $short | (map(.frames) | max) as $long
	| select($long > $short)
	| group_by(.thread)[]
	| (map(select(.frames == $short)) | first) as $a
	| (map(select(.frames == $long)) | first) as $b
	| (($b.frames - $a.frames) / 16 * $b.threads) as $chunks
	| ("allocations", "locks") as $what
	| (($b[$what] - $a[$what]) / $chunks) as $per_chunk
	| { row: "\($what)_\($b.thread)", what: "\($what) per chunk, \($b.thread) thread", unit: "/chunk",
	    frames: $b.frames, runs: 1, min: $per_chunk, median: $per_chunk, max: $per_chunk,
	    library: (($b["library_\($what)"] - $a["library_\($what)"]) / $chunks),
	    ratios: [{ to: "chunk" } + limit($per_chunk; 0)], verdict: null };

# What a read costs all processors of the guest, by its size; in a guest, what else the machine does
# only adds: so the least of all rounds is compared. A driver that read each byte once, and no more,
# would be at 0.09 of the copy; what lists of pages cost is 0.01 to 0.03.
def cost_rows($all):
	def per_byte($row): [$all[] | select(.row == $row)] | group_by(.chunk)
		| map({ chunk: .[0].chunk, cycles: map(.cycles / .bytes) });
	# Least squares: what a byte more costs.
	def slope: (length) as $n | (map(.[0]) | add / $n) as $x | (map(.[1]) | add / $n) as $y
		| (map((.[0] - $x) * (.[1] - $y)) | add) / (map((.[0] - $x) | . * .) | add);
	def slopes($row): [$all[] | select(.row == $row)] | group_by(.round)
		| map(map([.chunk, .cycles / .reads]) | slope) | spread;
	def least_slope($row): per_byte($row) | map([.chunk, (.cycles | min) * .chunk]) | slope;
	per_byte("driver_cpu") as $cpu | per_byte("driver_copied") as $copied
	| if ($cpu | length) < 2 or ($copied | length) < 2 then empty else . end
	| least_slope("driver_cpu") as $mine | least_slope("driver_copied") as $theirs
	| ($cpu[] | . as $c
		| ($copied[] | select(.chunk == $c.chunk).cycles | min) as $copy
		| { row: "driver_cpu_\(.chunk / 1024)K", what: "processors of the guest, per byte read",
		    unit: "cycles/B", bytes: .chunk } + (.cycles | spread)
			+ { ratios: [{ to: "with a copy", ratio: ((.cycles | min) / $copy),
				target: null, verdict: null }],
			    cycles_per_read: ((.cycles | min) * .chunk), verdict: null }),
	  ({ row: "driver_slope", what: "the same, for each byte more", unit: "cycles/B" }
		+ slopes("driver_cpu") + { least: $mine,
		    ratios: [{ to: "copied_slope", ratio: ($mine / $theirs) } | . + limit(.ratio; 0.05)],
		    verdict: null }),
	  ({ row: "copied_slope", what: "each chunk copied once, for each byte more", unit: "cycles/B" }
		+ slopes("driver_copied") + { least: $theirs, ratios: [], verdict: null });

# Where coalescing is off, one for each chunk; else one for so many, and for the end.
def interrupt_rows($all):
	$all[] | select(.row | startswith("driver_irq_"))
	| (.interrupts / .completions) as $n
	| { row, what: "interrupts per chunk", unit: "/chunk", bytes: .chunk, frames: .completions,
	    runs: 1, min: $n, median: $n, max: $n,
	    ratios: [{ to: "chunk" } + limit($n; .interrupts_allowed / .completions)], verdict: null };

def worst: if length > 0 and all(. == "SKIP") then "SKIP" else map(select(. != null))
	| if any(. == "FAIL") then "FAIL" elif any(. == "WARN") then "WARN" else "PASS" end end;

. as $all
| ([table[] | rate_row($all)] + [memory_rows($all)] + [copy_rows($all)] + [call_rows($all)]
	+ [cost_rows($all)] + [interrupt_rows($all)]) as $rows
| { schema_version: 1, start: $start, rows: $rows,
    end: { verdict: ($rows | map(.verdict, .ratios[].verdict) | worst), notes: $notes } }
