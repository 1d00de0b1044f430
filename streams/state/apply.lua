-- Tells the state of records and asks it about them, row by row in order, atomically.
--
-- ARGV[1]: what the state was called when the caller began: an error is returned when it is not any more
-- ARGV[2]: JSON, what the columns are:
--   write     true when the state is told; otherwise nothing is changed and nobody waits
--   place     short name of the report topic and the partition that the rows came from
--   topic     the short name alone
--   wait      seconds for which a record waits
--   keys      how many columns of keys there are; values: how many columns of values
--   lookups   [index id, key column]: each pair of them that is told or asked
--   indexes   [look-up, value column]
--   questions [look-up, value column, mode, own, event]: own is true where the index is of the rows' dataset,
--             event is what a row that was found something about waits for, "" for nothing
--   Columns count from 1, 0 is a column that is empty in all rows; look-ups count from 1.
-- ARGV[3]: orders, 39 digits each: the greater one is current. They end in 2^63 - 1 less the offset.
-- ARGV[4], ARGV[5]: identities, as texts are given: lengths of two bytes each, then all of them one after the other.
-- Then each column of keys, 32 characters each (32 spaces: none), then each column of values, as two arguments.
--
-- Returns, for each row and question about which something was found: row and question (from 0), how many texts were
-- found, and these; for a row of a version that has been replaced: row, -1, 0. Nothing for all others.
--
-- z:g:<topic>:<identity>  the guard: order, then for each index in which the record is: id, key, 3 digits, value
-- z:i:<index>:<key>       who holds the key: <when it came>:<holder>, or * where it is, or was, more than one. Where
--                         nobody does: ~ <order> .. <place> of who waits for the first holder though all is well
--                         (conflicts). Nearly every record does so, and this is as cheap as can be
-- z:m:<index>:<key>       sorted set of holders by when they came, where it is more than one
--                         holder = 3 digits, bytes of the identity .. identity .. value
-- z:w:<index><event>:<key>  hash of topic .. identity -> order .. place of who waits for the event at this key
-- z:n:<index>:<event>     somebody has waited there
-- z:q:<number>            such a hash when the event has come; z:woken: list of these, for due.lua
-- z:came                  counter of arrivals
-- z:epoch                 random name of this state, gone with it
--
-- What single commands would look up row by row is read for all rows at once, kept in tables while the rows are worked
-- through, and written back at the end: a command costs more here than all else that is done for a row.
local sub, byte, call, format, insert = string.sub, string.byte, redis.call, string.format, table.insert
local find = string.find
local spec = cjson.decode(ARGV[2])
if call('GET', 'z:epoch') ~= ARGV[1] then return redis.error_reply('STATELOST what was told before is gone') end
local write, place, topic = spec.write, spec.place, spec.topic
local NONE, MANY, WAITS, NEWEST = string.rep(' ', 32), '*', byte('~'), 8
-- Arguments to one command, fewer than a Lua stack holds.
local AT_ONCE = 2000

local function number_at(text, at)
  local a, b, c = byte(text, at, at + 2)
  return a * 100 + b * 10 + c - 5328
end

local function texts(lengths, joined)
  local found, at = {}, 1
  for row = 1, #lengths / 2 do
    local high, low = byte(lengths, row * 2 - 1, row * 2)
    local length = high * 256 + low
    found[row] = sub(joined, at, at + length - 1)
    at = at + length
  end
  return found
end

local function fixed(column, width)
  local found = {}
  for row = 1, #column / width do found[row] = sub(column, (row - 1) * width + 1, row * width) end
  return found
end

-- Runs a command on names, portion by portion, and hands each portion's answer on.
local function in_portions(names, command, answered)
  for from = 1, #names, AT_ONCE do
    local to = math.min(from + AT_ONCE - 1, #names)
    local answer = call(command, unpack(names, from, to))
    if answered then answered(answer, from, to) end
  end
end

local orders, identities = fixed(ARGV[3], 39), texts(ARGV[4], ARGV[5])
local rows = #orders
local keys, values = {}, {[0] = {}}
for column = 1, spec.keys do keys[column] = fixed(ARGV[5 + column], 32) end
for column = 1, spec.values do
  local at = 4 + spec.keys + 2 * column
  values[column] = texts(ARGV[at], ARGV[at + 1])
end
local sizes = {}
for row = 1, rows do sizes[row] = format('%03d', #identities[row]) end

-- Guards and sole holders by name: text, or false for none. What changes is named in changed.
local cache, changed, changes = {}, {}, 0
local function read(names)
  in_portions(names, 'MGET', function(answer, from)
    for at = 1, #answer do cache[names[from + at - 1]] = answer[at] end
  end)
end
local function cached(name)
  local text = cache[name]
  if text == nil then
    text = call('GET', name)
    cache[name] = text
  end
  return text
end
-- Who holds a key, false for nobody.
local function held_by(name)
  local text = cached(name)
  return text and byte(text) ~= WAITS and text
end
local function change(name, text)
  cache[name] = text
  changes = changes + 1
  changed[changes] = name
end

local wanted, count = {}, 0
local guards, held, guarded = {}, {}, #spec.indexes > 0
for row = 1, guarded and rows or 0 do
  local name = 'z:g:' .. topic .. ':' .. identities[row]
  guards[row] = name
  wanted[row] = name
  count = row
end
local ids, known = {}, {}
for at, index in ipairs(spec.indexes) do
  ids[at] = spec.lookups[index[1]][1]
  known[ids[at]] = true
end
for at, lookup in ipairs(spec.lookups) do
  local prefix, names, column = 'z:i:' .. lookup[1] .. ':', {}, keys[lookup[2]]
  for row = 1, column and rows or 0 do
    local key = column[row]
    if key ~= NONE then
      local name = prefix .. key
      names[row] = name
      if cache[name] == nil then
        cache[name] = false
        count = count + 1
        wanted[count] = name
      end
    end
  end
  held[at] = names
end
read(wanted)

-- What the guard of a row has to say now.
local function now_of(row)
  local now = orders[row]
  for at, index in ipairs(spec.indexes) do
    local name = held[index[1]][row]
    if name then
      local said = values[index[2]][row] or ''
      now = now .. ids[at] .. sub(name, -32) .. format('%03d', #said) .. said
    end
  end
  return now
end

-- What a guard says: key and value by index, and the text of indexes that these rules do not have. They belong to rules
-- that others go by while rules change, who see to them themselves (building.py).
local function entries_in(guard)
  local found, others, at = {}, '', 40
  while at <= #guard do
    local id, length = sub(guard, at, at + 7), number_at(guard, at + 40)
    if known[id] then
      found[id] = {sub(guard, at + 8, at + 39), sub(guard, at + 43, at + 42 + length)}
    else
      others = others .. sub(guard, at, at + 42 + length)
    end
    at = at + 43 + length
  end
  return found, others
end

local before_call, came
local function next_number()
  if not came then
    before_call = tonumber(call('GET', 'z:came') or 0)
    came = before_call
  end
  came = came + 1
  return format('%.0f', came)
end

-- Names at which nobody waits, by what was read for all rows; names that are not in it have to be looked up.
local quiet = {}
local function waiting_name(index, event, key) return 'z:w:' .. index .. event .. ':' .. key end

-- Whether anybody has ever waited at an index in z:w.
local awaited = {['+'] = {}, ['-'] = {}}
local function awaited_name(index, event) return 'z:n:' .. index .. ':' .. event end
local function is_awaited(index, event)
  local known_of = awaited[event]
  if known_of[index] == nil then known_of[index] = call('EXISTS', awaited_name(index, event)) == 1 end
  return known_of[index]
end
local function await(index, event)
  if is_awaited(index, event) then return end
  call('SET', awaited_name(index, event), '1')
  awaited[event][index] = true
end

local nows = {}
local function look_for_waiting()
  local names = {}
  for row = 1, guarded and rows or 0 do nows[row] = now_of(row) end
  for at, index in ipairs(spec.indexes) do
    local id, column = ids[at], held[index[1]]
    for row = 1, is_awaited(id, '+') and rows or 0 do
      if column[row] and cache[guards[row]] ~= nows[row] then
        insert(names, waiting_name(id, '+', sub(column[row], -32)))
      end
    end
  end
  in_portions(names, 'EXISTS', function(count, from, to)
    if count == 0 then
      for at = from, to do quiet[names[at]] = true end
    end
  end)
end

local function woken(name)
  local fresh = 'z:q:' .. next_number()
  call('RPUSH', 'z:woken', fresh)
  if name then
    call('RENAME', name, fresh)
    call('PERSIST', fresh)
  end
  return fresh
end

local function wake(index, event, key)
  if is_awaited(index, event) then
    local name = waiting_name(index, event, key)
    if not quiet[name] and call('EXISTS', name) == 1 then woken(name) end
    quiet[name] = true
  end
end

local function many(name) return 'z:m:' .. sub(name, 5) end
local function holder(text) return sub(text, find(text, ':', 1, true) + 1) end
local function identity_of(holder_text) return sub(holder_text, 4, 3 + number_at(holder_text, 1)) end
local function value_of(holder_text) return sub(holder_text, 4 + number_at(holder_text, 1)) end

local function leave(name, member)
  local sole = held_by(name)
  if sole == MANY then
    call('ZREM', many(name), member)
    if call('EXISTS', many(name)) == 0 then change(name, false) end
  elseif sole and holder(sole) == member then
    change(name, false)
  end
end

-- The row that has just come first to a key: nobody was there before it.
local came_first = {}
local function enter(name, member, row)
  local sole = held_by(name)
  if not sole then
    local waiter = cached(name)
    if waiter then call('HSET', woken(), waiter, sub(waiter, 2)) end
    change(name, next_number() .. ':' .. member)
    came_first[name] = row
  else
    came_first[name] = nil
    if sole ~= MANY then
      call('ZADD', many(name), sub(sole, 1, find(sole, ':', 1, true) - 1), holder(sole))
      change(name, MANY)
    end
    call('ZADD', many(name), next_number(), member)
  end
end

-- The same holder with another value keeps the moment at which it came.
local function exchange(name, old, new)
  local sole = held_by(name)
  local score = sole == MANY and call('ZSCORE', many(name), old)
  if score then
    call('ZREM', many(name), old)
    call('ZADD', many(name), score, new)
  elseif sole and sole ~= MANY and holder(sole) == old then
    change(name, sub(sole, 1, find(sole, ':', 1, true)) .. new)
  else
    enter(name, new, nil)
  end
end

local function tell_index(at, row, person, before)
  local index, id = spec.indexes[at], ids[at]
  local name = held[index[1]][row]
  local said = name and (values[index[2]][row] or '')
  local key = name and sub(name, -32)
  if before and before[1] ~= key then
    leave('z:i:' .. id .. ':' .. before[1], person .. before[2])
    wake(id, '-', before[1])
    before = nil
  end
  if name and not (before and before[2] == said) then
    if before then
      exchange(name, person .. before[2], person .. said)
    else
      enter(name, person .. said, row)
    end
    wake(id, '+', key)
  end
end

local NOTHING = {}
local function tell(row)
  local before, now, held_before = cache[guards[row]], nows[row], NOTHING
  if before == now then return end
  if before then
    local others
    held_before, others = entries_in(before)
    now = now .. others
    if before == now then return end
  end
  change(guards[row], now)
  local person = sizes[row] .. identities[row]
  for at = 1, #ids do tell_index(at, row, person, held_before[ids[at]]) end
end

-- What is found when the question is answered with a violation, else nil.
local answer = {}
function answer.known(name, sole)
  if not sole then return {} end
end
function answer.agrees(name, sole, itself, said)
  if not sole then return end
  if sole ~= MANY then
    local person = find(sole, ':', 1, true) + 1
    local value = sub(sole, person + 3 + number_at(sole, person))
    if value == said then return end
    return {value}
  end
  local found = {}
  local newest = call('ZREVRANGE', many(name), 0, NEWEST - 1)
  for at = #newest, 1, -1 do
    local value = value_of(newest[at])
    if value == said then return end
    insert(found, value)
  end
  return found
end
function answer.first(name, sole, itself, said, row)
  if not sole or came_first[name] == row then return end
  local first = identity_of(sole == MANY and call('ZRANGE', many(name), 0, 0)[1] or holder(sole))
  if first ~= itself then return {first} end
end
function answer.clear(name, sole, itself)
  if not sole then return end
  for _, one in ipairs(sole == MANY and call('ZRANGE', many(name), 0, 1) or {holder(sole)}) do
    local identity = identity_of(one)
    if identity ~= itself then return {identity} end
  end
end

local function wait(index, event, key, row)
  local name, who, now = waiting_name(index, event, key), topic .. identities[row], orders[row] .. place
  if call('HSETNX', name, who, now) == 0 then
    -- An older version must not wait in place of a newer one.
    if call('HGET', name, who) >= now then return end
    call('HSET', name, who, now)
  end
  call('EXPIRE', name, spec.wait)
  await(index, event)
  quiet[name] = nil
end

-- The first holder of a key may contradict what was reported before it came.
local function wait_for_first(name, index, row)
  local text = cached(name)
  if not text then
    change(name, '~' .. orders[row] .. place)
  elseif byte(text) ~= WAITS or sub(text, 2) ~= orders[row] .. place then
    wait(index, '+', sub(name, -32), row)
  end
end

if write then look_for_waiting() end
local reply = {}
for row = 1, rows do
  local stale, order = false, orders[row]
  if guarded then
    local before = cache[guards[row]]
    stale = before and sub(before, 1, 39) > order
  end
  if stale then
    insert(reply, row - 1)
    insert(reply, -1)
    insert(reply, 0)
  else
    if write and guarded then tell(row) end
    for number, question in ipairs(spec.questions) do
      local name = held[question[1]][row]
      if name then
        local mode, event = question[3], question[5]
        local said, itself = values[question[2]][row] or '', question[4] and identities[row] or ''
        local found = answer[mode](name, held_by(name), itself, said, row)
        if found then
          insert(reply, row - 1)
          insert(reply, number - 1)
          insert(reply, #found)
          for _, text in ipairs(found) do insert(reply, text) end
        elseif write and mode == 'clear' and event ~= '' then
          wait_for_first(name, spec.lookups[question[1]][1], row)
        end
        if found and write and event ~= '' then wait(spec.lookups[question[1]][1], event, sub(name, -32), row) end
      end
    end
  end
end

local pairs_to_set, length, gone = {}, 0, {}
for at = 1, changes do
  local name = changed[at]
  local text = cache[name]
  if text then
    pairs_to_set[length + 1], pairs_to_set[length + 2] = name, text
    length = length + 2
  elseif text == false then
    insert(gone, name)
  end
end
in_portions(pairs_to_set, 'MSET')
in_portions(gone, 'UNLINK')
if came then call('INCRBY', 'z:came', format('%.0f', came - before_call)) end
return reply
