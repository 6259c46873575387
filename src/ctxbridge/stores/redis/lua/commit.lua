-- Commit what a turn produced, renew its lease, or give it back, as rules/fold.py has it.
-- KEYS: list, ids[, what is due, the tenant's control[, outbox]]. ARGV: fixed fields, state, then a place and an entry for
-- each that is amended, then the turns that were joined, then (if there are any) whose they are and
-- the deliveries, then what is appended. Answers nonce, status and what belongs to it.
local SUPERSEDED, NOBODY, NO_RELEASE = 2, 255, string.rep('\0', 8)
local nonce, now, life, turn, owner, fenced, fence, epoch, revised, revision, finished, stated, labelled, amended, trace,
  lease, retry, hold, list, joined, delivered, astray, control, floor, release =
  struct.unpack('>c8I8I8c16c16BI8I8BI8BBBI4c25I8I8I8c16I2I2BI8Bc8', ARGV[1])
now = clock(now)
local tail, what = tail_of(KEYS[1])
if what ~= 'home' then return {nonce, what, tail or ''} end
local h, contact, state = unpack_head(tail[1]), tail[2], tail[3]
if not whole(KEYS[1], h) then return {nonce, 'torn'} end
-- The id of a contact stands behind the format, the array's mark and the mark of 16 bytes.
-- Another's may stand there, whom that contact was merged into, or who was erased or lost.
if string.sub(contact, 5, 20) ~= owner and not string.find(contact, '\196\16' .. owner, 21, true) then return {nonce, 'other', h.seq} end
local known = redis.pcall('HMGET', KEYS[2], 't' .. turn, 'n', 'x')
if known.err then return {nonce, 'torn'} end
local limit, ends = bounds(known[2], known[3])
if not limit then return {nonce, 'torn'} end

local function refuse(reason, newer)
  redis.call('LLEN', KEYS[1])
  return {nonce, reason, h.revision, h.epoch, h.fence, h.seq, h.turn, newer or '', h.lease}
end

local holds = fenced == 1 and h.lease > 0 and fence == h.fence and turn == h.turn
if not holds then
  local done = answer_in(known[1], now)
  if done then
    if done.fence ~= (fenced == 1 and fence or 0) then
      return refuse(done.first == 0 and 'superseded' or 'fenced')
    end
    redis.call('LLEN', KEYS[1])
    return {nonce, 'replayed', done.first + done.count - 1, done.revision, h.seq}
  end
end
if fenced == 1 and not holds then
  if fence > h.fence then return refuse('rolledback') end
  return refuse(bit.band(h.flags, SUPERSEDED) > 0 and 'superseded' or 'fenced')
end
if holds and finished == 1 or delivered > 0 then
  if epoch ~= h.epoch then return refuse('gated') end
  local newer = newer_control(KEYS[4], control)
  if not newer then return {nonce, 'torn'} end
  if newer ~= '' then return refuse('controlled', newer) end
end
if fenced == 0 and revised == 1 and revision ~= h.revision then return refuse('conflict') end
local places = {}
for i = 1, amended do
  places[i] = tonumber(ARGV[1 + 2 * i])
  if places[i] < 1 or places[i] > h.seq then return refuse('unknown') end
end
if astray == 1 then return refuse('unknown') end
local most, end_of_outbox
if delivered > 0 then
  local kept = redis.pcall('HMGET', KEYS[5], 'n', 'x')
  if kept.err then return {nonce, 'torn'} end
  most, end_of_outbox = bounds(kept[1], kept[2])
  if not most then return {nonce, 'torn'} end
end

local before, entries = h.seq, {}
local first_joined = 3 + 2 * amended
local first_delivered = first_joined + joined + (delivered > 0 and 1 or 0)
for i = first_delivered + delivered, #ARGV do entries[#entries + 1] = ARGV[i] end
local appended = #entries
h.seq = before + appended
if stated == 1 then state, h.revision = ARGV[2], h.revision + 1 end
if floor ~= NOBODY then
  h.first = string.sub(h.first, 1, 1) .. string.char(floor) .. string.sub(h.first, 3)
  h.epoch, h.revision = h.epoch + 1, h.revision + 1
end
if release ~= NO_RELEASE then h.middle = release .. string.sub(h.middle, 9) end
if labelled > 0 then h.flags = bit.bor(h.flags, labelled) end
if fenced == 1 then
  h.lease = finished == 0 and lease > 0 and now + lease or 0
  if trace ~= string.rep('\0', 25) then h.trace = trace end
  if finished == 1 then wait_no_more(h, places) end
end
if fenced == 1 or delivered > 0 then
  local refused = list_at(nonce, KEYS[3], list, look_after(h, now, retry))
  if refused then return refused end
end
if finished == 1 then
  local outcome = struct.pack('>I5I5I6', h.revision, fenced == 1 and fence or 0, now + life)
  local answers = {'t' .. turn, struct.pack('>I5I2', before + 1, appended) .. outcome}
  for i = first_joined, first_joined + joined - 1 do
    answers[#answers + 1], answers[#answers + 2] = 't' .. ARGV[i], string.rep('\0', 7) .. outcome
  end
  remember(KEYS[2], h.seq, now, life, limit, ends, answers)
end
local packed = pack_head(h)
-- Also the first write where nothing is remembered: one that a server without memory refuses.
if appended == 0 or finished == 0 then redis.call('LSET', KEYS[1], -3, packed) end
for i = 1, amended do
  redis.call('LSET', KEYS[1], places[i] - before - 4, ARGV[2 + 2 * i])
end
if appended > 0 then
  append(KEYS[1], true, entries, packed, contact, state)
elseif stated == 1 then
  redis.call('LSET', KEYS[1], -1, state)
end

local done = {nonce, 'ok', h.seq, h.revision, packed}
if delivered > 0 then
  local fields, listed, longest = {'s', ARGV[first_delivered - 1]}, {}, 0
  for i = first_delivered, first_delivered + delivered - 1 do
    local d, id, wait = {epoch = epoch, created = now, code = ''}
    id, d.place, wait, d.flags, d.status, d.token = struct.unpack('>c16I8I8BBc8', ARGV[i])
    d.place, d.due, d.attempt, d.named = before + d.place, now + wait, d.status, string.sub(ARGV[i], 43)
    d.ends, longest = d.due + life, math.max(longest, wait)
    d.held = d.status == CLAIMED and now + hold or 0
    fields[#fields + 1], fields[#fields + 2] = 'd' .. id, pack_delivery(d)
    listed[#listed + 1], listed[#listed + 2] = look_again(d), list .. id
    done[#done + 1] = fields[#fields]
  end
  remember(KEYS[5], h.seq, now, longest + life, most, end_of_outbox, fields)
  for i = 1, #listed, 1000 do
    redis.call('ZADD', KEYS[3], unpack(listed, i, math.min(i + 999, #listed)))
  end
end
redis.call('LLEN', KEYS[1])
return done
