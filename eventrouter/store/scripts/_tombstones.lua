-- Passage, after _lease_clock: the three tombstone sets are used in turn, 120 s of lease time each. On entering a
-- period the set of the next one is emptied, so an entry lives 120 to 240 s. `tombs` are the three keys; gives
-- `buried(id)` and `tomb`, the key in use.
local period = math.floor(now / 120000)
local entered = tonumber(clock[3] or period)
local tomb = tombs[period % 3 + 1]
if entered ~= period or not clock[3] then
  redis.call('HSET', KEYS[1], 'p', string.format('%.0f', period))
  for step = math.max(entered + 1, period - 2), period do
    redis.call('UNLINK', tombs[(step + 1) % 3 + 1])
  end
end
local function buried(id)
  return redis.call('SISMEMBER', tombs[1], id) == 1
    or redis.call('SISMEMBER', tombs[2], id) == 1
    or redis.call('SISMEMBER', tombs[3], id) == 1
end
