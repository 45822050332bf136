"""What a picture is composed by: controls, references and layouts."""
