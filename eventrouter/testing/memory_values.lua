-- Commands of the in-memory server on keys, strings, hashes, sets and lists.
local server = ...
local command, get, any, add, remove = server.command, server.get, server.any, server.add, server.remove
local touch, fail, refuse = server.touch, server.fail, server.refuse
local to_integer, text_of = server.to_integer, server.text_of
local OK = {ok = 'OK'}

-- An insertion-ordered map: `of` name -> value, `at` name -> its place in `names`; a free place holds false.
local function new_map(kind)
  return {kind = kind, of = {}, at = {}, names = {}, last = 0, size = 0}
end

local function put(map, name, value)
  if map.of[name] == nil then
    local last = map.last + 1
    map.names[last], map.at[name], map.last, map.size = name, last, last, map.size + 1
  end
  map.of[name] = value
end

local function pack_map(map)
  local names, last = {}, 0
  for i = 1, map.last do
    local name = map.names[i]
    if name then
      last = last + 1
      names[last], map.at[name] = name, last
    end
  end
  map.names, map.last = names, last
end

local function take(map, name)
  map.names[map.at[name]] = false
  map.of[name], map.at[name], map.size = nil, nil, map.size - 1
  if map.last > 2 * map.size + 16 then pack_map(map) end
end

local function names_of(map)
  local names, count = {}, 0
  if map then
    for i = 1, map.last do
      local name = map.names[i]
      if name then
        count = count + 1
        names[count] = name
      end
    end
  end
  return names
end

local function pairs_of(map, names)
  local flat = {}
  for i = 1, #names do
    flat[2 * i - 1], flat[2 * i] = names[i], map.of[names[i]]
  end
  return flat
end

-- Keys

command('EXISTS', 1, nil, function(args, count)
  local found = 0
  for i = 1, count do
    if any(args[i]) then found = found + 1 end
  end
  return found
end)

local function delete(args, count)
  local found = 0
  for i = 1, count do
    if any(args[i]) then
      found = found + 1
      remove(args[i])
    end
  end
  return found
end
command('DEL', 1, nil, delete)
command('UNLINK', 1, nil, delete)

command('TYPE', 1, 1, function(args)
  local object = any(args[1])
  return {ok = object and object.kind or 'none'}
end)

-- A key's time to live is nothing that anybody looks for: to set it is no change.
local function expire(args, count, name)
  if count > 2 then refuse(name .. ' with options') end
  local ms = to_integer(args[2]) * (name == 'EXPIRE' and 1000 or 1)
  local object = any(args[1])
  if not object then return 0 end
  if ms <= 0 then
    remove(args[1])
  else
    object.till = server.now + ms
  end
  return 1
end
command('PEXPIRE', 2, nil, expire)
command('EXPIRE', 2, nil, expire)

command('PTTL', 1, 1, function(args)
  local object = any(args[1])
  return not object and -2 or not object.till and -1 or object.till - server.now
end)

command('TTL', 1, 1, function(args)
  local object = any(args[1])
  return not object and -2 or not object.till and -1 or math.floor((object.till - server.now + 500) / 1000)
end)

command('PERSIST', 1, 1, function(args)
  local object = any(args[1])
  if not object or not object.till then return 0 end
  object.till = nil
  return 1
end)

-- Gives the Lua pattern of a glob.
local function pattern_of(glob)
  local out, i = {'^'}, 1
  local function literal(char)
    return char == '\0' and '%z' or string.find(char, '%w') and char or string.byte(char) < 128 and '%' .. char or char
  end
  while i <= #glob do
    local char = string.sub(glob, i, i)
    if char == '*' then
      out[#out + 1] = '.*'
    elseif char == '?' then
      out[#out + 1] = '.'
    elseif char == '\\' and i < #glob then
      i = i + 1
      out[#out + 1] = literal(string.sub(glob, i, i))
    elseif char == '[' then
      local inner, stop = string.match(glob, '^%^?([%w%-:]+)%]()', i + 1)
      if not inner then refuse('the pattern ' .. glob) end
      out[#out + 1] = string.sub(glob, i, stop - 1)
      i = stop - 1
    else
      out[#out + 1] = literal(char)
    end
    i = i + 1
  end
  out[#out + 1] = '$'
  return table.concat(out)
end

local function matching(names, glob)
  if not glob or glob == '*' then return names end
  local pattern, found = pattern_of(glob), {}
  for _, name in ipairs(names) do
    if string.find(name, pattern) then found[#found + 1] = name end
  end
  return found
end

command('KEYS', 1, 1, function(args)
  return matching(server.live_keys(), args[1])
end)

-- Everything is found in one step: COUNT is a hint.
local function read_scan(args, count, first)
  if args[first - 1] ~= '0' then refuse('a cursor other than 0') end
  local glob
  for i = first, count, 2 do
    local option = string.upper(args[i])
    if i == count then server.syntax() end
    if option == 'MATCH' then
      glob = args[i + 1]
    elseif option == 'COUNT' then
      if to_integer(args[i + 1]) < 1 then server.syntax() end
    else
      refuse('SCAN with ' .. option)
    end
  end
  return glob
end

command('SCAN', 1, nil, function(args, count)
  return {'0', matching(server.live_keys(), read_scan(args, count, 2))}
end)

command('FLUSHALL', 0, 0, function()
  server.flush()
  return OK
end)

command('PING', 0, 1, function(args)
  return args[1] or {ok = 'PONG'}
end)

command('ECHO', 1, 1, function(args)
  return args[1]
end)

command('INFO', 1, 1, function(args)
  if string.lower(args[1]) ~= 'memory' then refuse('INFO ' .. args[1]) end
  return '# Memory\r\nused_memory:' .. text_of(math.floor(collectgarbage('count') * 1024)) .. '\r\nmaxmemory:0\r\n'
end)

-- Strings

command('GET', 1, 1, function(args)
  local object = get(args[1], 'string')
  return object and object.value or false
end)

command('SET', 2, nil, function(args, count)
  if count > 2 then refuse('SET with options') end
  local object = any(args[1])
  if not object or object.kind ~= 'string' or object.value ~= args[2] then touch(args[1]) end
  add(args[1], {kind = 'string', value = args[2]})
  return OK
end)

local function sum(stored, change, complaint)
  local total = (stored and to_integer(stored, complaint) or 0) + change
  if total >= 2 ^ 53 or total <= -2 ^ 53 then refuse('integers beyond 2^53') end
  return total
end

local function increase(args)
  local change = args[2] and to_integer(args[2]) or 1
  local object = get(args[1], 'string')
  local total = sum(object and object.value, change)
  object = object or add(args[1], {kind = 'string'})
  object.value = text_of(total)
  touch(args[1])
  return total
end
command('INCR', 1, 1, increase)
command('INCRBY', 2, 2, increase)

-- Hashes

local function hash_for(key)
  return get(key, 'hash') or add(key, new_map('hash'))
end

command('HSET', 3, nil, function(args, count, name)
  if count % 2 == 0 then fail("ERR wrong number of arguments for '" .. string.lower(name) .. "' command") end
  local key = args[1]
  local hash = hash_for(key)
  local of, size = hash.of, hash.size
  for i = 2, count, 2 do
    local field, value = args[i], args[i + 1]
    local old = of[field]
    if old == nil then
      put(hash, field, value)
      touch(key)
    elseif old ~= value then
      of[field] = value
      touch(key)
    end
  end
  return hash.size - size
end)

command('HSETNX', 3, 3, function(args)
  local hash = get(args[1], 'hash')
  if hash and hash.of[args[2]] then return 0 end
  put(hash or hash_for(args[1]), args[2], args[3])
  touch(args[1])
  return 1
end)

command('HGET', 2, 2, function(args)
  local hash = get(args[1], 'hash')
  return hash and hash.of[args[2]] or false
end)

command('HMGET', 2, nil, function(args, count)
  local hash, values = get(args[1], 'hash'), {}
  for i = 2, count do
    values[i - 1] = hash and hash.of[args[i]] or false
  end
  return values
end)

command('HEXISTS', 2, 2, function(args)
  local hash = get(args[1], 'hash')
  return hash and hash.of[args[2]] and 1 or 0
end)

command('HLEN', 1, 1, function(args)
  local hash = get(args[1], 'hash')
  return hash and hash.size or 0
end)

local function take_each(kind)
  return function(args, count)
    local map, taken = get(args[1], kind), 0
    if not map then return 0 end
    for i = 2, count do
      if map.of[args[i]] then
        take(map, args[i])
        taken = taken + 1
      end
    end
    if taken > 0 then
      if map.size == 0 then remove(args[1]) else touch(args[1]) end
    end
    return taken
  end
end
command('HDEL', 2, nil, take_each('hash'))

command('HINCRBY', 3, 3, function(args)
  local change = to_integer(args[3])
  local hash = get(args[1], 'hash')
  local total = sum(hash and hash.of[args[2]], change, 'ERR hash value is not an integer')
  put(hash or hash_for(args[1]), args[2], text_of(total))
  touch(args[1])
  return total
end)

command('HKEYS', 1, 1, function(args)
  return names_of(get(args[1], 'hash'))
end)

command('HVALS', 1, 1, function(args)
  local hash = get(args[1], 'hash')
  local values = names_of(hash)
  for i = 1, #values do values[i] = hash.of[values[i]] end
  return values
end)

command('HGETALL', 1, 1, function(args)
  local hash = get(args[1], 'hash')
  return pairs_of(hash, names_of(hash))
end)

command('HSCAN', 2, nil, function(args, count)
  local hash = get(args[1], 'hash')
  if not hash then return {'0', {}} end
  local glob = read_scan(args, count, 3)
  return {'0', pairs_of(hash, matching(names_of(hash), glob))}
end)

command('HRANDFIELD', 1, 3, function(args, count)
  local wanted = count > 1 and to_integer(args[2]) or 1
  if wanted < 0 then refuse('HRANDFIELD with a negative count') end
  if count == 3 and string.upper(args[3]) ~= 'WITHVALUES' then server.syntax() end
  local hash = get(args[1], 'hash')
  local names = names_of(hash)
  for i = 1, math.min(wanted, #names - 1) do
    local other = math.random(i, #names)
    names[i], names[other] = names[other], names[i]
  end
  for i = #names, wanted + 1, -1 do names[i] = nil end
  if count == 1 then return names[1] or false end
  return count == 3 and pairs_of(hash, names) or names
end)

-- Sets

command('SADD', 2, nil, function(args, count)
  local set = get(args[1], 'set') or add(args[1], new_map('set'))
  local size = set.size
  for i = 2, count do put(set, args[i], true) end
  if set.size > size then touch(args[1]) end
  return set.size - size
end)

command('SREM', 2, nil, take_each('set'))

command('SISMEMBER', 2, 2, function(args)
  local set = get(args[1], 'set')
  return set and set.of[args[2]] and 1 or 0
end)

command('SMEMBERS', 1, 1, function(args)
  return names_of(get(args[1], 'set'))
end)

-- Lists

command('RPUSH', 2, nil, function(args, count)
  local list = get(args[1], 'list') or add(args[1], {kind = 'list', items = {}})
  for i = 2, count do list.items[#list.items + 1] = args[i] end
  touch(args[1])
  return #list.items
end)

-- Gives the first and the last place, from 1, of a range that may be counted from the end.
function server.range(first, last, size)
  if first < 0 then first = math.max(0, first + size) end
  if last < 0 then last = last + size end
  return first + 1, math.min(last + 1, size)
end

local function part(args)
  local first, last = to_integer(args[2]), to_integer(args[3])
  local list, items = get(args[1], 'list'), {}
  first, last = server.range(first, last, list and #list.items or 0)
  for i = first, last do items[#items + 1] = list.items[i] end
  return items, list
end

command('LRANGE', 3, 3, function(args)
  return (part(args))
end)

command('LTRIM', 3, 3, function(args)
  local items, list = part(args)
  if list and #items < #list.items then
    list.items = items
    if #items == 0 then remove(args[1]) else touch(args[1]) end
  end
  return OK
end)

command('LLEN', 1, 1, function(args)
  local list = get(args[1], 'list')
  return list and #list.items or 0
end)
