-- Open a turn. KEYS: list, ids, where the contact is found.
-- ARGV: fixed fields, message, contact of somebody new[, contact expected, contact then, consent
-- bits, event...]. Answers nonce, status, fence, place, turn, end of the lease, gate epoch, then
-- for a known message its assurance and where its answer stands.
local nonce, now, lease, life, turn, digest, id, conversation, home, labelled, assurance =
  struct.unpack('>c8I8I8I8c16c8c16c16c16BB', ARGV[1])
now = clock(now)
local tail, what = tail_of(KEYS[1])
if what == 'moved' then return {nonce, what, tail} end
if what == 'torn' or what == 'format' then return {nonce, what} end
local h, contact, state
if what == 'home' then
  h, contact, state = unpack_head(tail[1]), tail[2], tail[3]
  if not whole(KEYS[1], h) then return {nonce, 'torn'} end
else
  -- Who knows the list does not say where a new contact is to be found.
  if KEYS[3] == KEYS[1] then return {nonce, 'gone'} end
  h, contact, state = new_head(conversation), ARGV[3], ''
end

local known = redis.pcall('HMGET', KEYS[2], 'm' .. id, 'l', 'n', 'x')
if known.err then return {nonce, 'torn'} end
local limit, ends = bounds(known[3], known[4])
if not limit or (what == 'none' and not unclaimed(KEYS[3])) then return {nonce, 'torn'} end

local function take_lease(of_turn)
  h.turn, h.fence, h.lease, h.assurance = of_turn, h.fence + 1, now + lease, assurance
end

local function answer(status, place, of_turn, ...)
  redis.call('LLEN', KEYS[1])
  return {nonce, status, h.fence, place, of_turn, h.lease, h.epoch, ...}
end

if known[1] then
  local its_turn, its_digest, place, its_assurance, until_then = struct.unpack('>c16c8I5BI6', known[1])
  if until_then > now then
    if place < 1 or place > h.seq then return {nonce, 'torn'} end
    if its_digest ~= digest then return answer('mismatch', place, its_turn) end
    local done = answer_in(redis.call('HGET', KEYS[2], 't' .. its_turn), now)
    if done then
      return answer('duplicate', place, its_turn, its_assurance, done.first, done.count)
    end
    if h.lease > now then
      -- The same call again, whose answer was lost: the lease is its own.
      local mine = h.turn == its_turn and known[2] and string.sub(known[2], 1, 8) == nonce
      if not mine then return answer('busy', place, its_turn) end
      return answer(string.sub(known[2], 9) == 'r' and 'resumed' or 'new', place, its_turn)
    end
    redis.call('HSET', KEYS[2], 'l', nonce .. 'r')
    take_lease(its_turn)
    redis.call('LSET', KEYS[1], -3, pack_head(h))
    return answer('resumed', place, its_turn)
  end
end

local entries, place = {ARGV[2]}, h.seq + 1
if #ARGV > 3 then
  if ARGV[4] ~= (what == 'home' and contact or '') then return {nonce, 'again'} end
  contact, h.consent = ARGV[5], ARGV[6]
  for i = 7, #ARGV do entries[#entries + 1] = ARGV[i] end
  h.epoch, h.revision = h.epoch + 1, h.revision + 1
end
h.seq = h.seq + #entries
if labelled > 0 then h.flags = bit.bor(h.flags, labelled) end
local free = h.lease <= now
if free then take_lease(turn) end
local record = struct.pack('>c16c8I5BI6', turn, digest, place, assurance, now + life)
if free then
  remember(KEYS[2], h.seq, now, life, limit, ends, 'm' .. id, record, 'l', nonce .. 'n')
else
  remember(KEYS[2], h.seq, now, life, limit, ends, 'm' .. id, record)
end
append(KEYS[1], what == 'home', entries, pack_head(h), contact, state)
if what == 'none' then redis.call('SET', KEYS[3], home) end
return answer(free and 'new' or 'stored', place, turn)
