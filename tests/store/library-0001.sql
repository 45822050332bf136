-- A library as the first tables held it: a picture that Vellum drew, and its cutout.
BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE asset_parents (
	workspace VARCHAR NOT NULL, 
	asset VARCHAR(64) NOT NULL, 
	position INTEGER NOT NULL, 
	parent VARCHAR(64) NOT NULL, 
	relation VARCHAR NOT NULL, 
	CONSTRAINT pk_asset_parents PRIMARY KEY (workspace, asset, position), 
	CONSTRAINT fk_asset_parents_workspace_asset FOREIGN KEY(workspace, asset) REFERENCES assets (workspace, id) ON DELETE CASCADE
);
INSERT INTO "asset_parents" VALUES('local','3da79ef502f1f458a374128f5c963117165fe5f77f697c6c3bcb0370273af6d7',0,'8c418a9574ec80eef4637cbc0f26672ec1af7a4a54915e7dcafb9337b4cc6824','init');
CREATE TABLE assets (
	workspace VARCHAR NOT NULL, 
	id VARCHAR(64) NOT NULL, 
	media_type VARCHAR NOT NULL, 
	bytes BIGINT NOT NULL, 
	width INTEGER NOT NULL, 
	height INTEGER NOT NULL, 
	pixel_digest VARCHAR(64) NOT NULL, 
	created BIGINT NOT NULL, 
	created_by VARCHAR NOT NULL, 
	recipe VARCHAR(64), 
	environment VARCHAR(64), 
	seconds FLOAT, 
	CONSTRAINT pk_assets PRIMARY KEY (workspace, id), 
	CONSTRAINT fk_assets_workspace FOREIGN KEY(workspace) REFERENCES workspaces (id), 
	CONSTRAINT fk_assets_recipe FOREIGN KEY(recipe) REFERENCES recipes (digest), 
	CONSTRAINT fk_assets_environment FOREIGN KEY(environment) REFERENCES environments (digest)
);
INSERT INTO "assets" VALUES('local','8c418a9574ec80eef4637cbc0f26672ec1af7a4a54915e7dcafb9337b4cc6824','image/png',7655,64,64,'6e9adcd0f16eb6567bf54699cc637c7e89241f59af902fe9202e9ab93d84ac35',1795432595867205,'local','07efee6eb1717751c5e556b24ef85f5130e880f0e51dc0d9dd98d98ca0336891','c3a6b3f0578e56e9067d332b3455e4c2136397273b821a7b10cce666c3fc28a5',2.428);
INSERT INTO "assets" VALUES('local','3da79ef502f1f458a374128f5c963117165fe5f77f697c6c3bcb0370273af6d7','image/png',7954,64,64,'0fd6949d3e9c4d1932eb93b48d15c736f4100b635fa4606ec526c2f2451c757a',1795432599987614,'local','4c8e0a73103b398a3148f456a3e1b6e7aab8474c0e86fb290daa90a788c7bea6','c3a6b3f0578e56e9067d332b3455e4c2136397273b821a7b10cce666c3fc28a5',2.14);
CREATE TABLE environments (
	digest VARCHAR(64) NOT NULL, 
	json TEXT NOT NULL, 
	CONSTRAINT pk_environments PRIMARY KEY (digest)
);
INSERT INTO "environments" VALUES('c3a6b3f0578e56e9067d332b3455e4c2136397273b821a7b10cce666c3fc28a5','{"device":"cpu","dtype":"float32","libraries":[["numpy","2.4.6"],["onnxruntime","1.32.0"]],"limner":"0.1.0","platform":"Linux-6.12.0-x86_64-with-glibc2.36","processor":"AMD EPYC","python":"3.11.7","threads":2}');
CREATE TABLE recipes (
	digest VARCHAR(64) NOT NULL, 
	model VARCHAR NOT NULL, 
	words TEXT NOT NULL, 
	json TEXT NOT NULL, 
	CONSTRAINT pk_recipes PRIMARY KEY (digest)
);
INSERT INTO "recipes" VALUES('07efee6eb1717751c5e556b24ef85f5130e880f0e51dc0d9dd98d98ca0336891','vellum','a red fox','{"adapters":[],"extras":[],"format":"png","guidance":2.5,"inputs":[],"model":{"name":"vellum","sha256":"12e4ec6cb2d76f609a84e4ae733ff4f2c72104c47080eccdaff4b073e1e0acad"},"native_size":{"height":64,"width":64},"negative_prompt":"","prompt":"a red fox","sampler":"euler","schedule":null,"seed":7,"size":{"height":64,"width":64},"steps":20,"task":"text_to_image","transparent":true,"upscaler":null,"version":1}');
INSERT INTO "recipes" VALUES('4c8e0a73103b398a3148f456a3e1b6e7aab8474c0e86fb290daa90a788c7bea6','u2netp','','{"adapters":[],"extras":[],"format":"png","guidance":null,"inputs":[{"asset":"8c418a9574ec80eef4637cbc0f26672ec1af7a4a54915e7dcafb9337b4cc6824","role":"init","strength":null}],"model":{"name":"u2netp","sha256":"059912b0d606d0bbf75a3422ff266ec114a9264902f77122ca3ca421e913f5a9"},"native_size":{"height":64,"width":64},"negative_prompt":"","prompt":"","sampler":null,"schedule":null,"seed":0,"size":{"height":64,"width":64},"steps":null,"task":"cutout","transparent":true,"upscaler":null,"version":1}');
CREATE TABLE workspaces (
	id VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	CONSTRAINT pk_workspaces PRIMARY KEY (id)
);
INSERT INTO "workspaces" VALUES('local','Local');
CREATE INDEX ix_assets_workspace_created_id ON assets (workspace, created, id);
CREATE INDEX ix_assets_recipe_workspace_created_id ON assets (recipe, workspace, created, id);
CREATE INDEX ix_assets_id ON assets (id);
CREATE INDEX ix_asset_parents_workspace_parent ON asset_parents (workspace, parent);
COMMIT;
