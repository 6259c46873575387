-- A delivery as the outbox keeps it; the layout is told in stores/redis/deliveries.py.
local PENDING, CLAIMED, UNKNOWN, FAILED = 0, 1, 2, 4

-- The delivery in a field of the outbox, while its time lasts; or the name of what is there instead.
local function unpack_delivery(raw, now)
  if not raw then return nil, 'gone' end
  if #raw < 52 then return nil, 'torn' end
  if string.byte(raw) ~= 1 then return nil, 'format' end
  local d, _ = {}
  _, d.place, d.status, d.flags, d.attempt, d.due, d.held, d.epoch, d.token, d.created =
    struct.unpack('>BI5BBI2I6I6I8c8I6', raw)
  local named = struct.unpack('>I2', raw, 45)
  if #raw < 52 + named then return nil, 'torn' end
  d.named, d.code = string.sub(raw, 45, 46 + named), string.sub(raw, 47 + named, -7)
  d.ends = struct.unpack('>I6', raw, #raw - 5)
  if d.ends <= now then return nil, 'gone' end
  return d, 'there'
end

local function pack_delivery(d)
  return struct.pack('>BI5BBI2I6I6I8c8I6',
    1, d.place, d.status, d.flags, d.attempt, d.due, d.held, d.epoch, d.token, d.created)
    .. d.named .. d.code .. struct.pack('>I6', d.ends)
end

local function is_dead(status)
  return status == FAILED or status == UNKNOWN
end

-- When the outbox is to be looked at for a delivery, as rules/outbox.py has it; 0 for never.
local function look_again(d)
  return d.status == PENDING and d.due or (d.status == CLAIMED and d.held or 0)
end

-- List a delivery where its status says; the first write. What has had its time leaves the dead as
-- others come.
local function list_delivery(nonce, due, dead, member, d, was, now)
  local dies, died = is_dead(d.status), is_dead(was)
  local refused = (dies or died) and may_list(nonce, dead, member)
    or list_at(nonce, due, member, look_again(d))
  if refused then return refused end
  if dies then
    redis.call('ZREMRANGEBYSCORE', dead, '-inf', now)
    redis.call('ZADD', dead, d.ends, member)
  elseif died then
    redis.call('ZREM', dead, member)
  end
end

