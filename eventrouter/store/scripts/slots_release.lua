-- slots_release: free slots of a dead incarnation.
-- KEYS 1 held of the dead  2 use  3 lim  4 dead
-- ARGV 1 inc
-- Answers {'OK', number freed (<= 100)} | {'ALIVE'} unless inc is on the dead list
--!include _release
if redis.call('HEXISTS', KEYS[4], ARGV[1]) == 0 then
  return {'ALIVE'}
end
--!include _slots
local held, change, freed = redis.call('HRANDFIELD', KEYS[1], 100, 'WITHVALUES') or {}, {}, 0
for i = 1, #held, 2 do
  redis.call('HDEL', KEYS[1], held[i])
  change[held[i + 1]] = (change[held[i + 1]] or 0) - 1
  freed = freed + 1
end
for fn, by in pairs(change) do
  count_function(KEYS[2], KEYS[3], fn, by)
end
return {'OK', freed}
