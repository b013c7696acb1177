-- Tables of Chatwoot 4 around a conversation; without indexes for searching text, which need an extension.
CREATE TABLE contacts (
  id serial PRIMARY KEY,
  name varchar DEFAULT '',
  email varchar,
  phone_number varchar,
  account_id integer NOT NULL,
  created_at timestamp NOT NULL,
  updated_at timestamp NOT NULL,
  additional_attributes jsonb DEFAULT '{}',
  identifier varchar,
  custom_attributes jsonb DEFAULT '{}',
  last_activity_at timestamp,
  contact_type integer DEFAULT 0,
  middle_name varchar DEFAULT '',
  last_name varchar DEFAULT '',
  location varchar DEFAULT '',
  country_code varchar DEFAULT '',
  blocked boolean NOT NULL DEFAULT false);
CREATE INDEX index_contacts_on_lower_email_account_id ON contacts (lower(email::text), account_id);
CREATE INDEX index_contacts_on_account_id_and_last_activity_at ON contacts (account_id, last_activity_at DESC NULLS LAST);
CREATE INDEX index_contacts_on_account_id ON contacts (account_id);
CREATE UNIQUE INDEX uniq_email_per_account_contact ON contacts (email, account_id);
CREATE UNIQUE INDEX uniq_identifier_per_account_contact ON contacts (identifier, account_id);
CREATE TABLE contact_inboxes (
  id bigserial PRIMARY KEY,
  contact_id bigint,
  inbox_id bigint,
  source_id varchar NOT NULL,
  created_at timestamp(6) NOT NULL,
  updated_at timestamp(6) NOT NULL,
  hmac_verified boolean DEFAULT false,
  pubsub_token varchar);
CREATE INDEX index_contact_inboxes_on_contact_id ON contact_inboxes (contact_id);
CREATE UNIQUE INDEX index_contact_inboxes_on_inbox_id_and_source_id ON contact_inboxes (inbox_id, source_id);
CREATE TABLE notes (
  id bigserial PRIMARY KEY,
  content text NOT NULL,
  account_id bigint NOT NULL,
  contact_id bigint NOT NULL,
  user_id bigint,
  created_at timestamp(6) NOT NULL,
  updated_at timestamp(6) NOT NULL);
CREATE INDEX index_notes_on_contact_id ON notes (contact_id);
CREATE TABLE conversations (
  id serial PRIMARY KEY,
  account_id integer NOT NULL,
  inbox_id integer NOT NULL,
  status integer NOT NULL DEFAULT 0,
  assignee_id integer,
  created_at timestamp NOT NULL,
  updated_at timestamp NOT NULL,
  contact_id bigint,
  display_id integer NOT NULL,
  contact_last_seen_at timestamp,
  agent_last_seen_at timestamp,
  additional_attributes jsonb DEFAULT '{}',
  contact_inbox_id bigint,
  uuid uuid NOT NULL DEFAULT gen_random_uuid(),
  identifier varchar,
  last_activity_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
  custom_attributes jsonb DEFAULT '{}',
  waiting_since timestamp(6),
  cached_label_list text);
CREATE UNIQUE INDEX index_conversations_on_account_id_and_display_id ON conversations (account_id, display_id);
CREATE INDEX index_conversations_on_account_id ON conversations (account_id);
CREATE INDEX index_conversations_on_contact_id ON conversations (contact_id);
CREATE UNIQUE INDEX index_conversations_on_uuid ON conversations (uuid);
CREATE TABLE messages (
  id serial PRIMARY KEY,
  content text,
  account_id integer NOT NULL,
  inbox_id integer NOT NULL,
  conversation_id integer NOT NULL,
  message_type integer NOT NULL,
  created_at timestamp NOT NULL,
  updated_at timestamp NOT NULL,
  private boolean NOT NULL DEFAULT false,
  status integer DEFAULT 0,
  source_id varchar,
  content_type integer NOT NULL DEFAULT 0,
  content_attributes json DEFAULT '{}',
  sender_type varchar,
  sender_id bigint,
  additional_attributes jsonb DEFAULT '{}');
CREATE INDEX index_messages_on_conversation_id ON messages (conversation_id);
CREATE INDEX index_messages_on_account_id ON messages (account_id);
CREATE INDEX index_messages_on_created_at ON messages (created_at);
CREATE TABLE attachments (
  id serial PRIMARY KEY,
  file_type integer DEFAULT 0,
  external_url varchar,
  message_id integer NOT NULL,
  account_id integer NOT NULL,
  created_at timestamp NOT NULL,
  updated_at timestamp NOT NULL,
  fallback_title varchar,
  extension varchar,
  meta jsonb DEFAULT '{}');
CREATE INDEX index_attachments_on_account_id ON attachments (account_id);
CREATE INDEX index_attachments_on_message_id ON attachments (message_id);
CREATE TABLE mentions (
  id bigserial PRIMARY KEY,
  user_id bigint NOT NULL,
  conversation_id bigint NOT NULL,
  account_id bigint NOT NULL,
  mentioned_at timestamp NOT NULL,
  created_at timestamp(6) NOT NULL,
  updated_at timestamp(6) NOT NULL);
CREATE INDEX index_mentions_on_conversation_id ON mentions (conversation_id);
CREATE TABLE conversation_participants (
  id bigserial PRIMARY KEY,
  account_id bigint NOT NULL,
  user_id bigint NOT NULL,
  conversation_id bigint NOT NULL,
  created_at timestamp(6) NOT NULL,
  updated_at timestamp(6) NOT NULL);
CREATE INDEX index_conversation_participants_on_conversation_id ON conversation_participants (conversation_id);
CREATE TABLE csat_survey_responses (
  id bigserial PRIMARY KEY,
  account_id bigint NOT NULL,
  conversation_id bigint NOT NULL,
  message_id bigint NOT NULL,
  rating integer NOT NULL,
  feedback_message text,
  contact_id bigint NOT NULL,
  created_at timestamp(6) NOT NULL,
  updated_at timestamp(6) NOT NULL);
CREATE INDEX index_csat_survey_responses_on_conversation_id ON csat_survey_responses (conversation_id);
-- Numbers within an account are given by a trigger, which a deletion does not set off.
CREATE FUNCTION conversations_before_insert_row_tr() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.display_id := nextval('conv_dpid_seq_' || NEW.account_id);
  RETURN NEW;
END $$;
CREATE SEQUENCE conv_dpid_seq_1;
CREATE SEQUENCE conv_dpid_seq_2;
CREATE TRIGGER conversations_before_insert_row_tr BEFORE INSERT ON conversations
  FOR EACH ROW EXECUTE FUNCTION conversations_before_insert_row_tr();
