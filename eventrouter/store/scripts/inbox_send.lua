-- inbox_send: put a request into a host's inbox, once.
-- KEYS 1 clk  2 in: the stream  3 open: request id -> `entry|budget` while nobody has decided  4-6 tombstones of the decided
-- ARGV 1 request id  2 budget (ms): how long the host may take to decide  3 most entries  4 keep (ms)
--      5.. fields and values of the entry
-- Answers {'OK', entry} (now or before) | {'DECIDED'}: it was here and is over; it is not stored again
-- Intake: a deny-oom write comes first. Harmless to repeat, early or late: see DECIDED.
--!intake
--!include _lease_clock
local tombs = {KEYS[4], KEYS[5], KEYS[6]}
--!include _tombstones
local id = ARGV[1]
if buried(id) then
  return {'DECIDED'}
end
local known = redis.call('HGET', KEYS[3], id)
if known then
  return {'OK', string.match(known, '^[^|]+')}
end
local entry = redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], '*', unpack(ARGV, 5))
redis.call('HSET', KEYS[3], id, entry .. '|' .. ARGV[2])
for key = 1, 6 do
  redis.call('PEXPIRE', KEYS[key], ARGV[4])
end
return {'OK', entry}
