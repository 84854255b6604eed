-- The in-memory server: the keyspace, the protocol, and scripts. Commands are added to `server.commands` by the other
-- memory_*.lua files. A reply is in the form that scripts see: string, number, false for nil, {ok = status},
-- array; errors are raised as {err = text}. So `redis.call` hands replies on as they are.
local server = ...
local sha1hex = server.sha1hex
local find, sub, format, floor, concat = string.find, string.sub, string.format, math.floor, table.concat

local EXACT = 2 ^ 53

-- Scripts are short and each runs seldom: compiling traces of them costs more than it saves.
if jit then jit.off() end
math.randomseed(1)

-- Errors

local function fail(text)
  error({err = text}, 0)
end

local function refuse(what)
  fail('ERR not implemented by the in-memory server: ' .. what)
end

local function wrong_arity(name)
  fail("ERR wrong number of arguments for '" .. string.lower(name) .. "' command")
end

-- Numbers and their texts

local function text_of(number)
  if number == floor(number) then
    if number < EXACT and number > -EXACT then return format('%.0f', number) end
    if number == math.huge then return 'inf' end
    if number == -math.huge then return '-inf' end
  end
  local text = format('%.15g', number)
  if tonumber(text) ~= number then text = format('%.17g', number) end
  return text
end

local function to_integer(text, complaint)
  local number = (text == '0' or find(text, '^%-?[1-9]%d*$')) and tonumber(text)
  if not number or number >= 2 ^ 63 or number < -2 ^ 63 then
    fail(complaint or 'ERR value is not an integer or out of range')
  end
  if number >= EXACT or number <= -EXACT then refuse('integers beyond 2^53') end
  return number
end

local INFINITE = {inf = 1, infinity = 1}

local function to_float(text, complaint)
  local number
  if find(text, '^[%d.eE+-]+$') then
    number = tonumber(text)
  else
    local sign, word = string.match(text, '^([+-]?)(%a+)$')
    if word and INFINITE[string.lower(word)] then number = sign == '-' and -math.huge or math.huge end
  end
  return number or fail(complaint or 'ERR value is not a valid float')
end

-- Keys

local db, changed, changes = {}, {}, 0

local function touch(key)
  if not changed[key] then
    changes = changes + 1
    changed[key], changed[changes] = changes, key
  end
end

local function any(key)
  local object = db[key]
  if object and object.till and server.now > object.till then
    db[key] = nil
    return nil
  end
  return object
end

local function get(key, kind)
  local object = db[key]
  if object then
    if object.till then
      object = any(key)
      if not object then return nil end
    end
    if object.kind ~= kind then fail('WRONGTYPE Operation against a key holding the wrong kind of value') end
  end
  return object
end

local function remove(key)
  db[key] = nil
  touch(key)
end

local function live_keys()
  local keys, count = {}, 0
  for key in next, db do
    if any(key) then
      count = count + 1
      keys[count] = key
    end
  end
  table.sort(keys)
  return keys
end

-- Replies

local heads, integers = {}, {}
for length = 0, 999 do
  heads[length], integers[length] = '$' .. length .. '\r\n', ':' .. length .. '\r\n'
end

local function encode(value, out)
  local kind = type(value)
  local at = #out
  if kind == 'string' then
    out[at + 1] = heads[#value] or '$' .. #value .. '\r\n'
    out[at + 2] = value
    out[at + 3] = '\r\n'
  elseif kind == 'number' then
    local whole = value < 0 and math.ceil(value) or floor(value)
    out[at + 1] = integers[whole] or ':' .. format('%.0f', whole) .. '\r\n'
  elseif kind ~= 'table' then
    out[at + 1] = value == true and ':1\r\n' or '$-1\r\n'
  elseif value.err then
    out[at + 1] = '-' .. string.gsub(value.err, '[\r\n]', ' ') .. '\r\n'
  elseif value.ok then
    out[at + 1] = '+' .. string.gsub(value.ok, '[\r\n]', ' ') .. '\r\n'
  else
    local count = 0
    while value[count + 1] ~= nil do count = count + 1 end
    out[at + 1] = '*' .. count .. '\r\n'
    for i = 1, count do
      encode(value[i], out)
    end
  end
end

-- Scripts

local commands, arity = {}, {}
local FORBIDDEN = {EVALSHA = true, SCRIPT = true}

local function call_command(name, args, count)
  local command = commands[name]
  if not command then
    name = string.upper(name)
    command = commands[name]
    if not command then refuse('the command ' .. name) end
  end
  local least = arity[name]
  if count < least or (arity[least .. name] and count > arity[least .. name]) then wrong_arity(name) end
  return command(args, count, name)
end

local function call(name, ...)
  local args, count = {...}, select('#', ...)
  if type(name) ~= 'string' or FORBIDDEN[string.upper(name)] then
    fail('ERR This Redis command is not allowed from script')
  end
  for i = 1, count do
    local arg = args[i]
    if type(arg) ~= 'string' then
      if type(arg) ~= 'number' then fail('ERR Lua redis lib command arguments must be strings or integers') end
      args[i] = text_of(arg)
    end
  end
  return call_command(name, args, count)
end

local function error_of(raised)
  return type(raised) == 'table' and raised.err and raised or {err = 'ERR ' .. tostring(raised)}
end

local function pcall_command(...)
  local worked, reply = pcall(call, ...)
  return worked and reply or not worked and error_of(raised or reply)
end

local function error_reply(text)
  if sub(text, 1, 1) == '-' then text = sub(text, 2) end
  return {err = find(text, ' ', 1, true) and text or 'ERR ' .. text}
end

-- Tables are walked in one order whatever the runtime's hash seed, so that one history comes of one seed.
local function before(a, b)
  local first, second = type(a), type(b)
  if first ~= second then return first < second end
  if first == 'boolean' then return not a and b end
  return a < b
end

local function sorted_pairs(walked)
  local keys, count = {}, 0
  for key in next, walked do
    count = count + 1
    keys[count] = key
  end
  table.sort(keys, before)
  local at = 0
  return function()
    repeat
      at = at + 1
      if at > count then return nil end
    until walked[keys[at]] ~= nil
    return keys[at], walked[keys[at]]
  end
end

local globals = {
  KEYS = {}, ARGV = {},
  redis = {
    call = call, pcall = pcall_command, error_reply = error_reply,
    status_reply = function(text) return {ok = text} end,
    sha1hex = sha1hex,
  },
  string = string, table = table, math = math, cjson = server.cjson,
  assert = assert, error = error, ipairs = ipairs, next = next, pairs = sorted_pairs, pcall = pcall, select = select,
  rawequal = rawequal, rawget = rawget, setmetatable = setmetatable, getmetatable = getmetatable,
  tonumber = tonumber, tostring = tostring, type = type, unpack = unpack, xpcall = xpcall,
}
globals._G = globals
setmetatable(globals, {
  __index = function(_, name)
    error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
  end,
  __newindex = function() error('Attempt to modify a readonly table', 2) end,
})

local scripts, compiled = {}, {}

local function load_script(text)
  local sha = sha1hex(text)
  if not scripts[sha] then
    local script, complaint = compiled[sha], nil
    if not script then
      script, complaint = loadstring(text, '@user_script')
      if not script then fail('ERR Error compiling script (new function): ' .. complaint) end
      compiled[sha] = setfenv(script, globals)
    end
    scripts[sha] = script
  end
  return sha
end

local function told(raised, sha)
  if type(raised) == 'table' and raised.err then return {err = raised.err .. ' script: ' .. sha .. ', on @user_script.'} end
  return {err = 'ERR ' .. tostring(raised) .. ' script: ' .. sha .. ', on @user_script.'}
end

local function run_script(sha, args, count)
  local script = scripts[sha] or scripts[string.lower(sha)]
  if not script then fail('NOSCRIPT No matching script.') end
  local keys = to_integer(args[2])
  if keys > count - 2 then fail("ERR Number of keys can't be greater than number of args") end
  if keys < 0 then fail("ERR Number of keys can't be negative") end
  local KEYS, ARGV = {}, {}
  for i = 1, keys do KEYS[i] = args[i + 2] end
  for i = 1, count - 2 - keys do ARGV[i] = args[i + 2 + keys] end
  globals.KEYS, globals.ARGV = KEYS, ARGV
  local worked, reply = pcall(script)
  server.waits_on = nil -- nothing waits inside a script
  if worked then return reply end
  return told(reply, sha)
end

-- What other files build on

server.commands, server.arity = commands, arity
server.fail, server.refuse, server.touch, server.get, server.any, server.remove = fail, refuse, touch, get, any, remove
server.text_of, server.to_integer, server.to_float, server.live_keys = text_of, to_integer, to_float, live_keys

function server.add(key, object)
  db[key] = object
  return object
end

-- Adds a command that takes at least so many arguments, and at most so many (nil: any number).
function server.command(name, least, most, command)
  commands[name], arity[name] = command, least
  if most then arity[least .. name] = most end
end
local command = server.command

function server.syntax()
  fail('ERR syntax error')
end

function server.flush()
  for key in next, db do remove(key) end
end

command('EVALSHA', 2, nil, function(args, count)
  return run_script(args[1], args, count)
end)

command('SCRIPT', 1, nil, function(args, count)
  local what = string.upper(args[1])
  if what == 'LOAD' and count == 2 then return load_script(args[2]) end
  if what == 'FLUSH' and count == 1 then
    scripts = {}
    return {ok = 'OK'}
  end
  if what == 'EXISTS' and count > 1 then
    local known = {}
    for i = 2, count do known[i - 1] = scripts[string.lower(args[i])] and 1 or 0 end
    return known
  end
  refuse('SCRIPT ' .. what)
end)

command('TIME', 0, 0, function()
  local seconds = floor(server.now_us / 1000000)
  return {text_of(seconds), text_of(server.now_us - seconds * 1000000)}
end)

-- The pipeline, from `at` on. Returns the replies, RESP, with the changed keys as one array after them if wanted; and
-- how many replies there are. If a command waits, also where it begins in `data`, for how many ms, and on which keys,
-- RESP. The command at `patient` has waited its time.
local function read_command(data, at)
  local stop = find(data, '\r\n', at, true)
  local count = tonumber(sub(data, at + 1, stop - 1))
  local args, name = {}, nil
  at = stop + 2
  for i = 1, count do
    stop = find(data, '\r\n', at, true)
    local last = stop + 1 + tonumber(sub(data, at + 1, stop - 1))
    if i == 1 then name = sub(data, stop + 2, last) else args[i - 1] = sub(data, stop + 2, last) end
    at = last + 3
  end
  return name, args, count - 1, at
end

function server.run(data, at, now_us, wants_changes, patient)
  server.now_us, server.now = now_us, floor(now_us / 1000)
  local out, size, done = {}, #data, 0
  local waits, began, wait_ms, wait_keys = false, 0, 0, nil
  while at <= size do
    local name, args, count, after = read_command(data, at)
    server.waits_on = nil
    local worked, reply = pcall(call_command, name, args, count)
    if server.waits_on and at ~= patient then
      waits, began, wait_ms, wait_keys = true, at, server.waits_ms, server.waits_on
      break
    end
    encode(worked and reply or not worked and error_of(reply), out)
    done, at = done + 1, after
  end
  if changes > 0 then
    if wants_changes then
      out[#out + 1] = '*' .. changes .. '\r\n'
      for i = 1, changes do encode(changed[i], out) end
    end
    changed, changes = {}, 0
  elseif wants_changes then
    out[#out + 1] = '*0\r\n'
  end
  if not waits then return concat(out), done end
  local keys = {}
  encode(wait_keys, keys)
  return concat(out), done, began, wait_ms, concat(keys)
end
