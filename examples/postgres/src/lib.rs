//! Crates that need tokio: sqlx keeps notes in PostgreSQL, and reqwest sends each new one to another server.
//!
//! `.ci/postgres` starts a server for the tests. They find it by `DATABASE_URL`.

use serde::Deserialize;
use sqlx::postgres::{PgPool, PgPoolOptions};
use std::time::Duration;
use valor::{
    http::{Method, Response, StatusCode},
    *,
};

#[derive(Deserialize)]
pub struct Config {
    database: String,
    /// Where new notes are sent.
    webhook: Option<String>,
}

pub struct Notes {
    pool: PgPool,
    client: reqwest::Client,
    webhook: Option<String>,
}

#[vlugin]
impl Vlugin for Notes {
    type Config = Config;

    async fn on_create(config: Config, _cx: &mut Context) -> http::Result<Self> {
        let pool = PgPoolOptions::new()
            .max_connections(4)
            .acquire_timeout(Duration::from_secs(5))
            .connect(&config.database)
            .await?;
        sqlx::raw_sql(include_str!("notes.sql"))
            .execute(&pool)
            .await?;
        Ok(Self {
            pool,
            client: reqwest::Client::new(),
            webhook: config.webhook,
        })
    }

    async fn on_request(&self, _cx: &Context, mut req: http::Request) -> http::Result<Response> {
        let path = req.url().path().trim_matches('/').to_owned();
        match (req.method(), &*path) {
            (Method::Get, "") => self.list().await,
            (Method::Post, "") => self.create(req.body_string().await?).await,
            (Method::Get, id) => self.read(id.parse()?).await.into_response(),
            (Method::Delete, id) => self.delete(id.parse()?).await,
            _ => StatusCode::MethodNotAllowed.into_response(),
        }
    }
}

impl Notes {
    async fn list(&self) -> http::Result<Response> {
        let notes: Vec<(i64, String)> = sqlx::query_as("SELECT id, text FROM notes ORDER BY id")
            .fetch_all(&self.pool)
            .await?;
        Json(notes).into_response()
    }

    async fn create(&self, text: String) -> http::Result<Response> {
        let id: i64 = sqlx::query_scalar("INSERT INTO notes (text) VALUES ($1) RETURNING id")
            .bind(&text)
            .fetch_one(&self.pool)
            .await?;
        tracing::info!(id, length = text.len(), "a new note");
        if let Some(webhook) = &self.webhook {
            // A task of the vlugin's own: the response does not wait for it.
            let sending = self.client.post(webhook).body(text).send();
            tokio::spawn(async move {
                if let Err(error) = sending.await.and_then(|res| res.error_for_status()) {
                    tracing::warn!(id, %error, "the webhook failed");
                }
            });
        }
        (StatusCode::Created, Json(id)).into_response()
    }

    async fn read(&self, id: i64) -> Result<Option<String>, sqlx::Error> {
        sqlx::query_scalar("SELECT text FROM notes WHERE id = $1")
            .bind(id)
            .fetch_optional(&self.pool)
            .await
    }

    async fn delete(&self, id: i64) -> http::Result<Response> {
        let deleted = sqlx::query("DELETE FROM notes WHERE id = $1")
            .bind(id)
            .execute(&self.pool)
            .await?;
        let status = match deleted.rows_affected() {
            0 => StatusCode::NotFound,
            _ => StatusCode::NoContent,
        };
        status.into_response()
    }
}

#[cfg(test)]
mod tests;
