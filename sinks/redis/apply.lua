-- Applies records to the hot cache, atomically; replays and late older versions change nothing.
--
-- ARGV[1]: records, one after the other, each
--   3 x 9 digits  bytes of the identity, of the subject and of the payload
--   39 digits     order: the greater one is current, an equal one is the same message again
--   identity, subject, payload
-- An empty payload says where the record is now: withdrawn (no subject) or another subject's.
-- ARGV[2]: 'fill' where the records come from the store, which may lag: of one message what is here already is kept.
-- Returns how many were applied. Otherwise the same message again replaces itself: it may have been judged again since.
--
-- zhida:record:<identity> = order .. subject   the guard; of a withdrawn record it stays, with an empty subject
-- zhida:subject:{<subject>}  hash of identity -> payload
local sub, call, number = string.sub, redis.call, tonumber
local records, at, applied = ARGV[1], 1, 0
local filling = ARGV[2] == 'fill'
local length = #records
while at <= length do
  local identity_length = number(sub(records, at, at + 8))
  local subject_length = number(sub(records, at + 9, at + 17))
  local payload_length = number(sub(records, at + 18, at + 26))
  local order = sub(records, at + 27, at + 65)
  at = at + 66
  local identity = sub(records, at, at + identity_length - 1)
  at = at + identity_length
  local subject = sub(records, at, at + subject_length - 1)
  at = at + subject_length
  local payload = sub(records, at, at + payload_length - 1)
  at = at + payload_length

  local guard = 'zhida:record:' .. identity
  local held = call('GET', guard)
  local held_order = held and sub(held, 1, 39) or ''
  if filling and held_order == order then
    if payload_length > 0 and subject ~= '' and sub(held, 40) == subject then
      call('HSETNX', 'zhida:subject:{' .. subject .. '}', identity, payload)
    end
  elseif held_order <= order then
    local before = held and sub(held, 40) or ''
    if before ~= '' and before ~= subject then
      call('HDEL', 'zhida:subject:{' .. before .. '}', identity)
    end
    call('SET', guard, order .. subject)
    if payload_length > 0 and subject ~= '' then
      call('HSET', 'zhida:subject:{' .. subject .. '}', identity, payload)
    end
    applied = applied + 1
  end
end
return applied
