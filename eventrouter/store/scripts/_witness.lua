-- Passage, after _lease_clock: what the caller knows of time. ARGV[1] is a lease time that has been reached for
-- sure, or 0; ARGV[2] is the caller's wall time. Gives `agreed`, the wall time that both clocks have reached.
-- A queue is not polled while nobody wants anything of it, and the lease clock alone would then stand still.
if tonumber(ARGV[1]) > now then
  now = tonumber(ARGV[1])
  redis.call('HSET', KEYS[1], 'l', string.format('%.0f', now))
end
local agreed = math.min(wall, tonumber(ARGV[2]))
