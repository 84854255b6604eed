-- Passage: concurrency counts. `use` is a hash: function -> slots held for it, and _u:<account>:<region> -> those of
-- its functions without a reservation. `lim` is a hash: function -> its reservation, and _r:<account>:<region> ->
-- their sum. Setting a reservation moves the function's count out of _u, and clearing it back in; so a slot carries
-- no mark of how it was counted. `pool(fn)` gives `<account>:<region>`.
local function pool(fn)
  return string.match(fn, '^([^:]*:[^:]*):')
end
local function count(use, field, change)
  if change ~= 0 and redis.call('HINCRBY', use, field, change) <= 0 then
    redis.call('HDEL', use, field)
  end
end
local function count_function(use, lim, fn, change)
  count(use, fn, change)
  if redis.call('HEXISTS', lim, fn) == 0 then
    count(use, '_u:' .. pool(fn), change)
  end
end
