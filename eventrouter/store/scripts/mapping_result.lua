-- mapping_result: note what became of a mapping's latest batch.
-- KEYS 1 results: mapping -> text   2 register of the mapping's lanes, see lane_list
-- ARGV 1 mapping   2 text
-- Answers {'OK'} | {'GONE'} if the mapping has been removed
-- Harmless to repeat: texts are only shown.
--!include _release
if redis.call('HEXISTS', KEYS[2], '') == 1 then return {'GONE'} end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return {'OK'}
