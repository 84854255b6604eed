-- lane_list: note in a mapping's register that a unit exists, or that it is drained.
-- KEYS 1 register: unit -> 'epoch|0' known, 'epoch|1' drained; '' -> mapping removed
-- ARGV 1 unit   2 epoch of the lane that this is known of   3 '1' drained, '0' not
-- Answers {'OK'} | {'GONE'} if the mapping has been removed
-- Harmless to repeat, early or late: a newer epoch is never overwritten, and within one a unit only becomes drained.
--!include _release
if redis.call('HEXISTS', KEYS[1], '') == 1 then return {'GONE'} end
local known = redis.call('HGET', KEYS[1], ARGV[1])
if known then
  local epoch, drained = string.match(known, '^(%d+)|(%d)$')
  epoch = tonumber(epoch)
  if epoch > tonumber(ARGV[2]) or (epoch == tonumber(ARGV[2]) and drained >= ARGV[3]) then return {'OK'} end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. '|' .. ARGV[3])
return {'OK'}
