-- Claim a delivery for sending, as rules/outbox.py has it. KEYS: list, outbox, what is due, what is
-- dead, the tenant's control. ARGV: fixed fields. Answers nonce, status, delivery, seq, the contact's id and newer
-- control.
local nonce, now, hold, id, list, tenant, token, given, epoch, control =
  struct.unpack('>c8I8I8c16c16c16c8BI8I8', ARGV[1])
now = clock(now)
local tail, what = tail_of(KEYS[1])
if what ~= 'home' then return {nonce, what, tail or ''} end
local h, contact = unpack_head(tail[1]), string.sub(tail[2], 5, 20)
if not whole(KEYS[1], h) then return {nonce, 'torn'} end
local kept = redis.pcall('HMGET', KEYS[2], 's', 'd' .. id)
local newer = newer_control(KEYS[5], control)
if kept.err or not newer then return {nonce, 'torn'} end

local function answer(status, raw)
  return {nonce, status, raw, h.seq, contact, newer}
end

-- Who names another tenant's conversation is told of nothing.
if kept[1] ~= tenant then return answer('gone', '') end
local raw = kept[2]
local d, there = unpack_delivery(raw, now)
if not d then return answer(there, '') end
if d.place < 1 or d.place > h.seq then return {nonce, 'torn'} end

local status = 'taken'
if d.status == CLAIMED and d.held > now then
  -- The same call again, whose answer was lost: the claim is its own.
  return answer(d.token == token and 'taken' or 'gone', raw)
elseif d.status == CLAIMED and d.flags % 2 == 0 then
  d.status, d.code, status = UNKNOWN, 'worker.lost', 'lost'
elseif d.status ~= CLAIMED and (d.status ~= PENDING or d.due > now) then
  return answer('gone', raw)
elseif (given == 1 and epoch or d.epoch) ~= h.epoch or newer ~= '' then
  return answer('stale', raw)
else
  d.status, d.attempt, d.token, d.held, d.epoch = CLAIMED, math.min(d.attempt + 1, 65535), token, now + hold, h.epoch
end
local refused = list_delivery(nonce, KEYS[3], KEYS[4], list .. id, d, CLAIMED, now)
if refused then return refused end
raw = pack_delivery(d)
redis.call('HSET', KEYS[2], 'd' .. id, raw)
return answer(status, raw)
