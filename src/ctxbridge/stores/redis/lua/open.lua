-- Open a turn, as rules/fold.py has it. KEYS: list, ids, where the contact is found, what is due, the tenant's control.
-- ARGV: fixed fields, message, contact of somebody new, the address as it is packed, its hash[,
-- contact expected, contact then, consent bits, event...]. Answers nonce, status, newer control, fence, place, turn, end of the lease, gate epoch, then
-- for a known message its assurance and where its answer stands.
local SUPERSEDED, SUPERSEDE, REJECT = 2, 1, 2
local nonce, now, lease, life, turn, digest, id, conversation, home, labelled, assurance, overlap, backlog, resumes, control =
  struct.unpack('>c8I8I8I8c16c8c16c16c16BBBI2I8I8', ARGV[1])
now = clock(now)
local tail, what = tail_of(KEYS[1])
if what == 'moved' then return {nonce, what, tail} end
if what == 'torn' or what == 'format' then return {nonce, what} end
local h, contact, state
if what == 'home' then
  h, contact, state = unpack_head(tail[1]), tail[2], tail[3]
  if not whole(KEYS[1], h) then return {nonce, 'torn'} end
  if not is_of(contact, h, ARGV[4], ARGV[5]) then return {nonce, 'other'} end
else
  -- Who knows the list does not say where a new contact is to be found.
  if KEYS[3] == KEYS[1] then return {nonce, 'gone'} end
  h, contact, state = new_head(conversation), ARGV[3], ''
end

local known = redis.pcall('HMGET', KEYS[2], 'm' .. id, 'l', 'w', 'n', 'x')
if known.err then return {nonce, 'torn'} end
local limit, ends = bounds(known[4], known[5])
local newer = newer_control(KEYS[5], control)
if not limit or not newer or (what == 'none' and not unclaimed(KEYS[3])) then return {nonce, 'torn'} end

local function answer(status, place, of_turn, ...)
  redis.call('LLEN', KEYS[1])
  return {nonce, status, newer, h.fence, place, of_turn, h.lease, h.epoch, ...}
end

local function take_lease(of_turn)
  local others = bit.band(h.flags, 255 - SUPERSEDED)
  h.flags = h.lease > now and others + SUPERSEDED or others
  h.turn, h.fence, h.lease, h.assurance = of_turn, h.fence + 1, now + lease, assurance
end

if known[1] or resumes > 0 then
  -- Put the changed head in its place, and who holds the lease; answers what is wrong.
  local function put_head(holder)
    local refused = list_at(nonce, KEYS[4], home, look_after(h, now, 1000))
    if refused then return refused end
    if holder then redis.call('HSET', KEYS[2], 'l', holder) end
    redis.call('LSET', KEYS[1], -3, pack_head(h))
  end

  -- A message that needs no turn any more does not wait for one.
  local function answered(place, ...)
    local refused = wait_no_more(h, {place}) and put_head()
    return refused or answer(...)
  end

  -- Where the same call comes again, its answer was lost: the lease, or the note, is its own.
  local function is_mine(raw)
    return raw and string.sub(raw, 1, 8) == nonce
  end

  local its_turn, its_digest, place, its_assurance, until_then = '', '', 0, 255, 0
  if known[1] then
    its_turn, its_digest, place, its_assurance, until_then = struct.unpack('>c16c8I5BI6', known[1])
  end
  -- An id that was forgotten may have come anew: that is another message than the one that waits.
  if until_then > now and (resumes == 0 or resumes == place) then
    -- Whose it was is erased: it is a duplicate of nothing.
    if place == 0 then return answer('duplicate', 0, its_turn, 255, 0, 0) end
    if place < 1 or place > h.seq then return {nonce, 'torn'} end
    if its_digest ~= digest and resumes == 0 then return answer('mismatch', place, its_turn) end
    local done = answer_in(redis.call('HGET', KEYS[2], 't' .. its_turn), now)
    if done then
      local status = done.first == 0 and 'merged' or 'duplicate'
      return answered(place, status, place, its_turn, its_assurance, done.first, done.count)
    end
    if lease == 0 then
      if is_mine(known[3]) then return answer('noted', place, its_turn) end
      return answer('duplicate', place, its_turn, its_assurance, 0, 0)
    end
    if h.lease > now then
      if h.turn ~= its_turn or not is_mine(known[2]) then return answer('busy', place, its_turn) end
      return answer(string.sub(known[2], 9) == 'r' and 'resumed' or 'new', place, its_turn)
    end
    take_lease(its_turn)
    return put_head(nonce .. 'r') or answer('resumed', place, its_turn)
  end
  if resumes > 0 then return answered(resumes, 'duplicate', resumes, turn, 255, 0, 0) end
end

local free, changes_consent = h.lease <= now, #ARGV > 5
if not (free or changes_consent or lease == 0) then
  if overlap == REJECT then return answer('rejected', 0, turn) end
  if #h.waiting >= backlog * 5 then return answer('full', 0, turn) end
end

local entries, place = {ARGV[2]}, h.seq + 1
if changes_consent then
  if ARGV[6] ~= (what == 'home' and contact or '') then return {nonce, 'again'} end
  contact, h.consent = ARGV[7], ARGV[8]
  for i = 9, #ARGV do entries[#entries + 1] = ARGV[i] end
  h.epoch, h.revision = h.epoch + 1, h.revision + 1
end
h.seq = h.seq + #entries
if labelled > 0 then h.flags = bit.bor(h.flags, labelled) end
local fields = {'m' .. id, struct.pack('>c16c8I5BI6', turn, digest, place, assurance, now + life)}
local status = 'noted'
if lease == 0 then
  fields[3], fields[4] = 'w', nonce
else
  waits(h, place)
  status = 'stored'
  if free or (overlap == SUPERSEDE and h.assurance == assurance) then
    take_lease(turn)
    status, fields[3], fields[4] = 'new', 'l', nonce .. 'n'
  end
end
-- Where a turn runs on, it is listed already.
if status == 'new' or (h.lease == 0 and #h.waiting > 0) then
  local refused = list_at(nonce, KEYS[4], home, look_after(h, now, 1000))
  if refused then return refused end
end
remember(KEYS[2], h.seq, now, life, limit, ends, fields)
append(KEYS[1], what == 'home', entries, pack_head(h), contact, state)
if what == 'none' then redis.call('SET', KEYS[3], home) end
return answer(status, place, turn)
