/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-pool-state-private.h"

/* Which child a call goes to: the one with the fewest calls in flight, equals in turn; with a key
 * the one whose slot scores highest for it (rendezvous hashing), so that a slot that comes or
 * goes moves only the keys that are its own, and a child that takes the place of another its keys. */

/* FNV-1a. */
guint64
kcp_pool_hash_key (const char *key)
{
  guint64 hash = 0xcbf29ce484222325u;

  for (const guchar *byte = (const guchar *) key; *byte; byte++)
    hash = (hash ^ *byte) * 0x100000001b3u;
  return hash;
}

/* The two mixed so well that the scores of two slots have nothing to do with each other; the
 * constants are those of splitmix64. */
static guint64
score (guint64 key,
       guint   slot)
{
  guint64 mixed = key + (slot + 1) * 0x9e3779b97f4a7c15u;

  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
  return mixed ^ (mixed >> 31);
}

static KcpPoolMember *
choose_by_key (KcpPool *self,
               guint64  key)
{
  KcpPoolMember *best = NULL;
  gboolean best_answers = FALSE;
  guint64 best_score = 0;

  for (guint i = 0; i < self->slots->len; i++)
    {
      KcpPoolMember *member = kcp_pool_slot (self, i)->active;
      gboolean answers;
      guint64 own;

      if (!kcp_pool_member_takes_calls (member))
        continue;

      answers = kcp_actor_get_responsive (member->actor);
      own = score (key, i);
      if (best == NULL || answers > best_answers || (answers == best_answers && own > best_score))
        {
          best = member;
          best_answers = answers;
          best_score = own;
        }
    }

  return best;
}

/* What was found while looking for the least busy one. */
typedef struct
{
  KcpPoolMember *member;
  guint least;           /* its calls; G_MAXUINT: it does not answer pings */
  guint calls;           /* of all that take calls */
  guint busy;            /* how many of them have any */
} Survey;

static Survey
survey (KcpPool *self)
{
  Survey found = { NULL, G_MAXUINT, 0, 0 };

  for (guint i = 0; i < self->slots->len; i++)
    {
      guint index = (self->turn + i) % self->slots->len;
      KcpPoolMember *member = kcp_pool_slot (self, index)->active;
      guint calls;

      if (!kcp_pool_member_takes_calls (member))
        continue;

      calls = kcp_actor_get_in_flight (member->actor);
      found.calls += calls;
      found.busy += calls > 0;
      /* Better one that hangs than none: it may come back. */
      if (!kcp_actor_get_responsive (member->actor))
        calls = G_MAXUINT;
      if (found.member == NULL || calls < found.least)
        {
          found.member = member;
          found.least = calls;
        }
    }

  return found;
}

guint
kcp_pool_count_busy (KcpPool *self)
{
  return survey (self).busy;
}

/* Another child where all are busy, those that are on their way counted as if they were there.
 * Only noted: it is started in the pool's own turn. */
static void
consider_growth (KcpPool      *self,
                 const Survey *found,
                 gboolean      queued)
{
  guint64 calls = (guint64) found->calls + self->queue.length + (queued ? 0 : 1);

  if (self->wanted >= self->settings.max || self->given_up || !kcp_pool_is_up (self))
    return;
  if (found->member && found->least < self->settings.busy_mark)
    return;
  if (calls > (guint64) self->settings.busy_mark * self->wanted)
    kcp_pool_want_more (self);
}

KcpPoolMember *
kcp_pool_choose (KcpPool       *self,
                 const guint64 *key,
                 gboolean       queued,
                 gboolean       beyond)
{
  Survey found = survey (self);
  KcpPoolMember *member = key ? choose_by_key (self, *key) : found.member;

  if (member && !key && !beyond && kcp_actor_get_in_flight (member->actor) >= member->max_in_flight)
    member = NULL;

  consider_growth (self, &found, queued);
  if (member)
    {
      self->peak = MAX (self->peak, found.busy + (kcp_actor_get_in_flight (member->actor) == 0));
      self->turn = (member->slot + 1) % self->slots->len;
    }

  return member;
}
